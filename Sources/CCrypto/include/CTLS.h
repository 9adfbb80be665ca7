// CTLS: the server's side of TLS over OpenSSL 3 (libssl), without sockets. No policy: versions, suites, groups and protocols are the
// caller's to say.
//
// A context holds certificate, key and rules; a session is one connection. Sessions read ciphertext from, and write it to, the window
// of their thread, which the caller sets before each call and empties after it: so nothing is buffered between calls but the part of a
// record that OpenSSL itself holds. Contexts may be shared by threads once they are set up; sessions and windows belong to one.
// Every call leaves the thread's error queue empty. Sources: SSL_CTX_new(3), SSL_read(3), BIO_meth_new(3), RFC 5246, 7301, 8446.
#ifndef GRAPNEL_CTLS_H
#define GRAPNEL_CTLS_H

#include <stddef.h>
#include <stdint.h>

typedef struct cc_tls_context cc_tls_context;
typedef struct cc_tls_session cc_tls_session;

// Where the ciphertext of one call lies. in_used <= in_count, out_count <= out_capacity.
typedef struct {
  const uint8_t *_Nullable in;
  size_t in_count, in_used;
  uint8_t *_Nullable out;
  size_t out_capacity, out_count;
} cc_tls_window;

// What was wrong with a file. 0: nothing.
enum {
  CC_TLS_FILE_NO_MEMORY = 1,
  CC_TLS_FILE_EMPTY,        // no PEM block of the kind that was looked for
  CC_TLS_FILE_DAMAGED,      // a PEM block that cannot be read
  CC_TLS_FILE_ENCRYPTED,    // a key with a passphrase
  CC_TLS_FILE_WEAK,         // a key or digest below the security level
  CC_TLS_FILE_OTHER_KEY,    // the key belongs to another certificate
  CC_TLS_FILE_LEAF_BEHIND,  // the key belongs to a certificate further down in the file
  CC_TLS_FILE_TOO_MANY,     // more certificates than CC_TLS_CERTIFICATES_MAX
};
enum { CC_TLS_CERTIFICATES_MAX = 1000, CC_TLS_CHAIN_MAX = 16 };

// What a call on a session gave when it is not a count of bytes.
enum {
  CC_TLS_WANTS_INPUT = -1,   // the window's input is used up
  CC_TLS_WANTS_OUTPUT = -2,  // the window's output is full: empty it and call again with the same bytes
  CC_TLS_ENDED = -3,         // the peer's close_notify
  CC_TLS_FAILED = -4,        // the session is dead; an alert may be in the window
};
// Why a session failed.
enum {
  CC_TLS_REASON_OTHER = 0,
  CC_TLS_REASON_PLAIN_HTTP,
  CC_TLS_REASON_VERSION,
  CC_TLS_REASON_CIPHER,          // no suite, group or signature algorithm in common
  CC_TLS_REASON_ALPN,
  CC_TLS_REASON_NO_CERTIFICATE,  // the client sent none and one is required
  CC_TLS_REASON_CERTIFICATE,     // the client's certificate does not verify
  CC_TLS_REASON_PEER_CERTIFICATE,  // the peer does not accept ours (an alert that speaks of certificates)
  CC_TLS_REASON_PEER_ALERT,      // any other alert of the peer
};

// What a context allows. All of it must outlive the context's making, `protocol` the context.
typedef struct {
  int version_min;                   // 0x0303 or 0x0304
  const char *_Nonnull suites;       // of TLS 1.2, OpenSSL's names
  const char *_Nonnull groups;
  const uint8_t *_Nonnull protocol;  // the one ALPN protocol, its length before it
  int64_t ticket_seconds;
  size_t peer_chain_bytes_max;
} cc_tls_rules;

// A server's context: no renegotiation, no compression, no early data; tickets under keys that live as long as the context. NULL when
// there is no memory or a name is unknown.
cc_tls_context *_Nullable cc_tls_context_create(const cc_tls_rules *_Nonnull rules);
void cc_tls_context_free(cc_tls_context *_Nonnull context);

// Leaf first, then its chain; then the key. 0 or one of the codes above. The PEM text needs no zero at its end.
int cc_tls_context_use_chain(cc_tls_context *_Nonnull context, const void *_Nonnull pem, size_t count);
int cc_tls_context_use_key(cc_tls_context *_Nonnull context, const void *_Nonnull pem, size_t count);
// Clients must present a certificate that leads to one of these authorities.
int cc_tls_context_require_clients(cc_tls_context *_Nonnull context, const void *_Nonnull pem, size_t count);
// Another context with the same certificate, key, authorities and rules, and ticket keys of its own.
cc_tls_context *_Nullable cc_tls_context_renew(const cc_tls_context *_Nonnull context, const cc_tls_rules *_Nonnull rules);
// Unix seconds between which the leaf is valid. 0 when there is none.
int cc_tls_context_validity(const cc_tls_context *_Nonnull context, int64_t *_Nonnull not_before, int64_t *_Nonnull not_after);

// A session that waits for a ClientHello. `window` must outlive it. NULL when there is no memory.
cc_tls_session *_Nullable cc_tls_session_create(cc_tls_context *_Nonnull context, cc_tls_window *_Nonnull window);
void cc_tls_session_free(cc_tls_session *_Nonnull session);
// 1 when the handshake is done, else one of the codes. `*reason` is set with CC_TLS_FAILED.
int cc_tls_session_handshake(cc_tls_session *_Nonnull session, int *_Nonnull reason);
// Plaintext of at most one record into `bytes`: its count (> 0), or a code.
long cc_tls_session_read(cc_tls_session *_Nonnull session, void *_Nonnull bytes, size_t count, int *_Nonnull reason);
// Encrypts: the count taken (> 0), or a code. `count` > 0.
long cc_tls_session_write(cc_tls_session *_Nonnull session, const void *_Nonnull bytes, size_t count, int *_Nonnull reason);
// Puts close_notify into the window. Only after the handshake and while the session has not failed.
void cc_tls_session_end(cc_tls_session *_Nonnull session);
// Whether decrypted bytes wait inside.
int cc_tls_session_has_pending(const cc_tls_session *_Nonnull session);
// Whether it goes on from an earlier one by ticket.
int cc_tls_session_is_resumed(const cc_tls_session *_Nonnull session);

#endif
