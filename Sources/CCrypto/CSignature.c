#include "CSignature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

static const EVP_MD *digest_of(int bits) {
  return bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : bits == 512 ? EVP_sha512() : NULL;
}

// EVP_PKEY_fromdata(3). Takes over `build`. NULL when the numbers are no key.
static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *build) {
  OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
  OSSL_PARAM_BLD_free(build);
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *context = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
  if (context && EVP_PKEY_fromdata_init(context) == 1) {
    if (EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) key = NULL;
  }
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(params);
  return key;
}

// EVP_DigestVerify(3) answers 1, 0 or below 0; only 1 is good. Takes over `key`; leaves no errors behind for the thread's
// next user of OpenSSL.
static int verify(EVP_PKEY *key, const EVP_MD *digest, cc_bytes message, const uint8_t *signature, size_t count) {
  static const uint8_t nothing = 0;
  int holds = 0;
  EVP_MD_CTX *context = key ? EVP_MD_CTX_new() : NULL;
  if (context && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1)
    holds = EVP_DigestVerify(context, signature, count, message.count ? message.start : &nothing, message.count) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  ERR_clear_error();
  return holds;
}

int cc_rsa_verify(int digest_bits, cc_bytes modulus, cc_bytes exponent, cc_bytes message, cc_bytes signature) {
  const EVP_MD *digest = digest_of(digest_bits);
  if (!digest || modulus.count > 1024 + 1 || exponent.count == 0 || exponent.count > 8 || signature.count == 0 ||
      signature.count > 1024)
    return 0;
  BIGNUM *n = BN_bin2bn(modulus.start, (int)modulus.count, NULL);
  BIGNUM *e = BN_bin2bn(exponent.start, (int)exponent.count, NULL);
  EVP_PKEY *key = NULL;
  OSSL_PARAM_BLD *build = NULL;
  // An exponent below 3 or even makes every signature good or none: no such key is real.
  if (n && e && BN_num_bits(n) >= 2048 && BN_num_bits(n) <= 8192 && BN_is_odd(e) && !BN_is_one(e))
    build = OSSL_PARAM_BLD_new();
  if (build) {
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
    key = key_from("RSA", build);
  }
  BN_free(n);
  BN_free(e);
  return verify(key, digest, message, signature.start, signature.count);
}

int cc_ecdsa_verify(int digest_bits, cc_bytes x, cc_bytes y, cc_bytes message, cc_bytes signature) {
  size_t half = digest_bits == 256 ? 32 : digest_bits == 384 ? 48 : 0;
  if (!half || x.count != half || y.count != half || signature.count != 2 * half) return 0;
  // JOSE writes r and s one behind the other, OpenSSL reads DER.
  uint8_t der[2 * 48 + 16], *end = der;
  ECDSA_SIG *pair = ECDSA_SIG_new();
  BIGNUM *r = BN_bin2bn(signature.start, (int)half, NULL);
  BIGNUM *s = BN_bin2bn(signature.start + half, (int)half, NULL);
  int count = 0;
  if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
    r = s = NULL;  // now the pair's
    if (i2d_ECDSA_SIG(pair, NULL) <= (int)sizeof der) count = i2d_ECDSA_SIG(pair, &end);
  }
  BN_free(r);
  BN_free(s);
  ECDSA_SIG_free(pair);
  if (count <= 0) return 0;
  uint8_t point[1 + 2 * 48];
  point[0] = POINT_CONVERSION_UNCOMPRESSED;
  memcpy(point + 1, x.start, half);
  memcpy(point + 1 + half, y.start, half);
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  if (!build) return 0;
  OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, half == 32 ? "P-256" : "P-384", 0);
  OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * half);
  return verify(key_from("EC", build), digest_of(digest_bits), message, der, (size_t)count);
}

int cc_ed25519_verify(cc_bytes key, cc_bytes message, cc_bytes signature) {
  if (key.count != 32 || signature.count != 64) return 0;
  return verify(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key.start, 32), NULL, message, signature.start, 64);
}
