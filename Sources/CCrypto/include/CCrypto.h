// CCrypto: digests, keyed digests and checksums over OpenSSL 3 (libcrypto), libipsec-mb and zlib. No policy.
//
// Keyed digests start from prepared states (RFC 2104: the inner and outer block already hashed), so that one message
// costs no allocation and no key schedule. The low-level SHA functions of OpenSSL are used on copied states on purpose:
// EVP_MD_CTX_copy_ex allocates once per copy, EVP_MAC twice.
#ifndef GRAPNEL_CCRYPTO_H
#define GRAPNEL_CCRYPTO_H

#include <stddef.h>
#include <stdint.h>

enum { CC_SHA1 = 1, CC_SHA256 = 2, CC_SHA512 = 3 };
enum { CC_DIGEST_MAX = 64 };

// Digest length of an algorithm in bytes; 0 for an unknown one.
static inline size_t cc_digest_bytes(int algorithm) {
  return algorithm == CC_SHA1 ? 20 : algorithm == CC_SHA256 ? 32 : algorithm == CC_SHA512 ? 64 : 0;
}

void cc_sha256(const void *_Nullable bytes, size_t count, uint8_t digest[_Nonnull 32]);

// Bytes of one prepared key (8-byte aligned memory of the caller, best outside core dumps).
size_t cc_hmac_key_bytes(void);
// Prepares the states of one secret for all three algorithms. The secret may be empty (count 0).
void cc_hmac_key_prepare(void *_Nonnull key, const void *_Nullable secret, size_t count);
// Writes cc_digest_bytes(algorithm) bytes. No allocation. count may be 0.
void cc_hmac(const void *_Nonnull key, int algorithm, const void *_Nullable bytes, size_t count, uint8_t *_Nonnull digest);

// One message of a batch for HMAC-SHA256.
typedef struct {
  const void *_Nonnull key;
  const void *_Nullable bytes;
  size_t count;
  uint8_t digest[32];
} cc_hmac_item;
// State for batches; one per thread. NULL when there is no memory.
void *_Nullable cc_batch_create(void);
void cc_batch_destroy(void *_Nonnull batch);
// Computes all digests of a batch side by side where the processor can, else one after the other. No allocation.
void cc_hmac_sha256_batch(void *_Nonnull batch, cc_hmac_item *_Nonnull items, size_t count);
// Smallest batch that goes side by side (0: never). For tests and figures.
size_t cc_batch_lanes(void *_Nonnull batch);

// 1 when equal. Time depends on count alone.
int cc_equal(const void *_Nonnull a, const void *_Nonnull b, size_t count);

// CRC-32 (IEEE 802.3, as zlib's crc32): `seed` is 0 or the checksum of what came before. By carry-less multiplication
// where the processor has it.
uint32_t cc_crc32(uint32_t seed, const void *_Nullable bytes, size_t count);

// Random bytes of the operating system. 1 on success.
int cc_random(void *_Nonnull bytes, size_t count);

// "OpenSSL 3.0.x ..." of the library in use.
const char *_Nonnull cc_openssl_version(void);

#endif
