#define OPENSSL_SUPPRESS_DEPRECATED
#include "CCrypto.h"

#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct {
  SHA256_CTX inner256, outer256;
  SHA_CTX inner1, outer1;
  SHA512_CTX inner512, outer512;
  uint8_t ipad[32], opad[32];  // the SHA-256 states as libipsec-mb wants them: eight words, host order
} Key;

void cc_sha256(const void *bytes, size_t count, uint8_t digest[32]) {
  SHA256_CTX c;
  SHA256_Init(&c);
  if (count) SHA256_Update(&c, bytes, count);
  SHA256_Final(digest, &c);
}

size_t cc_hmac_key_bytes(void) { return (sizeof(Key) + 15) & ~(size_t)15; }

void cc_hmac_key_prepare(void *key, const void *secret, size_t count) {
  Key *k = key;
  uint8_t block[128], pad[128];
  // RFC 2104 section 2: a key longer than the block is hashed first.
  memset(block, 0, sizeof block);
  if (count > 64) { SHA256_CTX c; SHA256_Init(&c); SHA256_Update(&c, secret, count); SHA256_Final(block, &c); }
  else if (count) memcpy(block, secret, count);
  for (int i = 0; i < 64; i++) pad[i] = block[i] ^ 0x36;
  SHA256_Init(&k->inner256); SHA256_Update(&k->inner256, pad, 64);
  for (int i = 0; i < 64; i++) pad[i] = block[i] ^ 0x5c;
  SHA256_Init(&k->outer256); SHA256_Update(&k->outer256, pad, 64);
  memcpy(k->ipad, k->inner256.h, 32);
  memcpy(k->opad, k->outer256.h, 32);

  memset(block, 0, sizeof block);
  if (count > 64) { SHA_CTX c; SHA1_Init(&c); SHA1_Update(&c, secret, count); SHA1_Final(block, &c); }
  else if (count) memcpy(block, secret, count);
  for (int i = 0; i < 64; i++) pad[i] = block[i] ^ 0x36;
  SHA1_Init(&k->inner1); SHA1_Update(&k->inner1, pad, 64);
  for (int i = 0; i < 64; i++) pad[i] = block[i] ^ 0x5c;
  SHA1_Init(&k->outer1); SHA1_Update(&k->outer1, pad, 64);

  memset(block, 0, sizeof block);
  if (count > 128) { SHA512_CTX c; SHA512_Init(&c); SHA512_Update(&c, secret, count); SHA512_Final(block, &c); }
  else if (count) memcpy(block, secret, count);
  for (int i = 0; i < 128; i++) pad[i] = block[i] ^ 0x36;
  SHA512_Init(&k->inner512); SHA512_Update(&k->inner512, pad, 128);
  for (int i = 0; i < 128; i++) pad[i] = block[i] ^ 0x5c;
  SHA512_Init(&k->outer512); SHA512_Update(&k->outer512, pad, 128);
  OPENSSL_cleanse(block, sizeof block);
  OPENSSL_cleanse(pad, sizeof pad);
}

void cc_hmac(const void *key, int algorithm, const void *bytes, size_t count, uint8_t *digest) {
  const Key *k = key;
  uint8_t inner[CC_DIGEST_MAX];
  switch (algorithm) {
    case CC_SHA1: {
      SHA_CTX c = k->inner1;
      if (count) SHA1_Update(&c, bytes, count);
      SHA1_Final(inner, &c);
      c = k->outer1;
      SHA1_Update(&c, inner, 20);
      SHA1_Final(digest, &c);
      break;
    }
    case CC_SHA512: {
      SHA512_CTX c = k->inner512;
      if (count) SHA512_Update(&c, bytes, count);
      SHA512_Final(inner, &c);
      c = k->outer512;
      SHA512_Update(&c, inner, 64);
      SHA512_Final(digest, &c);
      break;
    }
    default: {
      SHA256_CTX c = k->inner256;
      if (count) SHA256_Update(&c, bytes, count);
      SHA256_Final(inner, &c);
      c = k->outer256;
      SHA256_Update(&c, inner, 32);
      SHA256_Final(digest, &c);
    }
  }
}

// libipsec-mb 1.3 on this path: lengths 1 ... 1 MiB only. The unchecked submit gives wrong tags at 4 MiB and above, an
// empty message in a batch spoils its neighbours, and the checked submit refuses above 65,534: so what is outside goes
// to libcrypto.
enum { LANE_BYTES_MAX = 1 << 20, BATCH_MIN = 4 };

typedef struct { IMB_MGR *manager; } Batch;

void *cc_batch_create(void) {
  Batch *b = calloc(1, sizeof *b);
  if (!b) return 0;
  b->manager = alloc_mb_mgr(0);
  if (b->manager) {
    IMB_ARCH arch;
    init_mb_mgr_auto(b->manager, &arch);
    // Below AVX2 four narrow lanes lose to one SHA-NI stream.
    if (arch < IMB_ARCH_AVX2) { free_mb_mgr(b->manager); b->manager = 0; }
  }
  return b;
}
void cc_batch_destroy(void *batch) {
  Batch *b = batch;
  if (b->manager) free_mb_mgr(b->manager);
  free(b);
}
size_t cc_batch_lanes(void *batch) { return ((Batch *)batch)->manager ? BATCH_MIN : 0; }

static void one(cc_hmac_item *i) { cc_hmac(i->key, CC_SHA256, i->bytes, i->count, i->digest); }
static void finished(const IMB_JOB *j) {
  if (j->status != IMB_STATUS_COMPLETED) one(j->user_data);  // refused by the library: compute it the plain way
}

void cc_hmac_sha256_batch(void *batch, cc_hmac_item *items, size_t count) {
  IMB_MGR *m = ((Batch *)batch)->manager;
  size_t fitting = 0;
  if (m) for (size_t i = 0; i < count; i++) fitting += items[i].count >= 1 && items[i].count <= LANE_BYTES_MAX;
  if (fitting < BATCH_MIN) {
    for (size_t i = 0; i < count; i++) one(&items[i]);
    return;
  }
  IMB_JOB *j;
  for (size_t i = 0; i < count; i++) {
    cc_hmac_item *item = &items[i];
    if (item->count < 1 || item->count > LANE_BYTES_MAX) { one(item); continue; }
    const Key *k = item->key;
    j = IMB_GET_NEXT_JOB(m);
    memset(j, 0, sizeof *j);
    j->cipher_mode = IMB_CIPHER_NULL;
    j->hash_alg = IMB_AUTH_HMAC_SHA_256;
    j->chain_order = IMB_ORDER_HASH_CIPHER;
    j->cipher_direction = IMB_DIR_ENCRYPT;
    j->src = item->bytes;
    j->msg_len_to_hash_in_bytes = item->count;
    j->auth_tag_output = item->digest;
    j->auth_tag_output_len_in_bytes = 32;
    j->u.HMAC._hashed_auth_key_xor_ipad = k->ipad;
    j->u.HMAC._hashed_auth_key_xor_opad = k->opad;
    j->user_data = item;
    for (j = IMB_SUBMIT_JOB_NOCHECK(m); j; j = IMB_GET_COMPLETED_JOB(m)) finished(j);
  }
  while ((j = IMB_FLUSH_JOB(m))) finished(j);
}

int cc_equal(const void *a, const void *b, size_t count) { return CRYPTO_memcmp(a, b, count) == 0; }

// The manager is a table of functions chosen for this processor; the checksum keeps no state in it, so one serves all
// threads.
static IMB_MGR *checksums;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void choose(void) {
  IMB_ARCH arch;
  IMB_MGR *m = alloc_mb_mgr(0);
  if (!m) return;
  init_mb_mgr_auto(m, &arch);
  checksums = m;
}

uint32_t cc_crc32(uint32_t seed, const void *bytes, size_t count) {
  if (!count) return seed;
  pthread_once(&once, choose);
  if (seed == 0 && count >= 64 && checksums) return IMB_CRC32_ETHERNET_FCS(checksums, bytes, count);
  return (uint32_t)crc32_z(seed, bytes, count);
}

int cc_random(void *bytes, size_t count) { return RAND_bytes(bytes, (int)count) == 1; }

const char *cc_openssl_version(void) { return OpenSSL_version(OPENSSL_VERSION); }
