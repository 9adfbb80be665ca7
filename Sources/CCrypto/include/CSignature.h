// CSignature: public-key signatures over OpenSSL 3 (libcrypto). No policy: what may be verified with which key is the caller's to say.
//
// Keys are raw numbers as they stand in a JSON Web Key (RFC 7518 section 6) or a Standard Webhooks public key; they are public,
// so nothing here runs in constant time. Every function answers 1 when the signature holds and 0 for everything else,
// a key that is no key included.
#ifndef GRAPNEL_CSIGNATURE_H
#define GRAPNEL_CSIGNATURE_H

#include <stddef.h>
#include <stdint.h>

// Bytes given by the caller; `start` may be NULL when `count` is 0.
typedef struct {
  const uint8_t *_Nullable start;
  size_t count;
} cc_bytes;

// RSASSA-PKCS1-v1_5 (RFC 8017) with SHA-256, SHA-384 or SHA-512, chosen by `digest_bits`. `modulus` and `exponent` are big-endian;
// keys below 2048 and above 8192 bits, and exponents above 64 bits, are refused.
int cc_rsa_verify(int digest_bits, cc_bytes modulus, cc_bytes exponent, cc_bytes message, cc_bytes signature);

// ECDSA with P-256 and SHA-256 (`digest_bits` 256) or P-384 and SHA-384 (384). `x`, `y` and both halves of `signature` have the
// curve's exact length (RFC 7518 sections 3.4 and 6.2.1).
int cc_ecdsa_verify(int digest_bits, cc_bytes x, cc_bytes y, cc_bytes message, cc_bytes signature);

// Ed25519 (RFC 8032): a key of 32 and a signature of 64 bytes.
int cc_ed25519_verify(cc_bytes key, cc_bytes message, cc_bytes signature);

#endif
