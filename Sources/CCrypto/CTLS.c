#define _GNU_SOURCE
#include "CTLS.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

// The shim's names for OpenSSL's types.
static SSL_CTX *ctx(const cc_tls_context *c) { return (SSL_CTX *)(uintptr_t)c; }
static SSL *ssl(const cc_tls_session *s) { return (SSL *)(uintptr_t)s; }

// - the window as a BIO

static int window_write(BIO *b, const char *bytes, int count) {
  cc_tls_window *w = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  size_t room = w->out_capacity - w->out_count;
  if (count <= 0) return 0;
  if (!room) { BIO_set_retry_write(b); return -1; }
  size_t n = (size_t)count < room ? (size_t)count : room;
  memcpy(w->out + w->out_count, bytes, n);
  w->out_count += n;
  return (int)n;
}

static int window_read(BIO *b, char *bytes, int count) {
  cc_tls_window *w = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  size_t left = w->in_count - w->in_used;
  if (count <= 0) return 0;
  if (!left) { BIO_set_retry_read(b); return -1; }
  size_t n = (size_t)count < left ? (size_t)count : left;
  memcpy(bytes, w->in + w->in_used, n);
  w->in_used += n;
  return (int)n;
}

static long window_control(BIO *b, int command, long number, void *pointer) {
  (void)b; (void)number; (void)pointer;
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static BIO_METHOD *window_method;
static pthread_once_t window_once = PTHREAD_ONCE_INIT;
static void make_window_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "window");
  if (!m) return;
  BIO_meth_set_write(m, window_write);
  BIO_meth_set_read(m, window_read);
  BIO_meth_set_ctrl(m, window_control);
  window_method = m;
}

// - contexts

// RFC 7301 section 3.2: a client that offers protocols and not ours is refused.
static int choose_protocol(SSL *s, const unsigned char **out, unsigned char *count, const unsigned char *offered,
                           unsigned offered_count, void *protocol) {
  (void)s;
  const uint8_t *ours = protocol;
  unsigned char *chosen = 0;
  if (SSL_select_next_proto(&chosen, count, ours, 1u + ours[0], offered, offered_count) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

cc_tls_context *cc_tls_context_create(const cc_tls_rules *rules) {
  SSL_CTX *c = SSL_CTX_new(TLS_server_method());
  if (!c) { ERR_clear_error(); return 0; }
  SSL_CTX_set_security_level(c, 2);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                             SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(c, (long)rules->ticket_seconds);
  SSL_CTX_set_num_tickets(c, 1);
  SSL_CTX_set_max_early_data(c, 0);
  SSL_CTX_set_max_cert_list(c, (long)rules->peer_chain_bytes_max);
  SSL_CTX_set_alpn_select_cb(c, choose_protocol, (void *)(uintptr_t)rules->protocol);
  if (!SSL_CTX_set_min_proto_version(c, rules->version_min) || !SSL_CTX_set_max_proto_version(c, 0) ||
      !SSL_CTX_set_cipher_list(c, rules->suites) || !SSL_CTX_set1_groups_list(c, rules->groups) ||
      !SSL_CTX_set_session_id_context(c, (const unsigned char *)"grapnel", 7)) {
    SSL_CTX_free(c);
    c = 0;
  }
  ERR_clear_error();
  return (cc_tls_context *)c;
}

void cc_tls_context_free(cc_tls_context *context) { SSL_CTX_free(ctx(context)); }

// Why the last call of OpenSSL on a file failed; empties the queue.
static int file_problem(int otherwise) {
  unsigned long e = ERR_peek_last_error();
  int problem = otherwise;
  if (ERR_GET_LIB(e) == ERR_LIB_SSL) switch (ERR_GET_REASON(e)) {
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
    case SSL_R_CA_MD_TOO_WEAK: problem = CC_TLS_FILE_WEAK;
  }
  if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE) problem = CC_TLS_FILE_NO_MEMORY;
  ERR_clear_error();
  return problem;
}

// All certificates of a PEM text, at most `limit`.
static int read_certificates(const void *pem, size_t count, int limit, STACK_OF(X509) **out) {
  ERR_clear_error();
  BIO *b = BIO_new_mem_buf(pem, (int)count);
  STACK_OF(X509) *all = sk_X509_new_null();
  int problem = b && all ? 0 : CC_TLS_FILE_NO_MEMORY;
  while (!problem) {
    X509 *one = PEM_read_bio_X509(b, 0, 0, 0);
    if (!one) {
      unsigned long e = ERR_peek_last_error();
      if (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE) break;
      problem = file_problem(CC_TLS_FILE_DAMAGED);
    } else if (sk_X509_num(all) >= limit) {
      X509_free(one);
      problem = CC_TLS_FILE_TOO_MANY;
    } else if (!sk_X509_push(all, one)) {
      X509_free(one);
      problem = CC_TLS_FILE_NO_MEMORY;
    }
  }
  if (!problem && sk_X509_num(all) == 0) problem = CC_TLS_FILE_EMPTY;
  BIO_free(b);
  ERR_clear_error();
  if (problem) { sk_X509_pop_free(all, X509_free); all = 0; }
  *out = all;
  return problem;
}

int cc_tls_context_use_chain(cc_tls_context *context, const void *pem, size_t count) {
  STACK_OF(X509) *chain;
  int problem = read_certificates(pem, count, CC_TLS_CHAIN_MAX, &chain);
  if (problem) return problem;
  X509 *leaf = sk_X509_shift(chain);
  if (SSL_CTX_use_certificate(ctx(context), leaf) != 1) problem = file_problem(CC_TLS_FILE_DAMAGED);
  else if (SSL_CTX_set1_chain(ctx(context), chain) != 1) problem = file_problem(CC_TLS_FILE_DAMAGED);
  X509_free(leaf);
  sk_X509_pop_free(chain, X509_free);
  ERR_clear_error();
  return problem;
}

// No passphrase is ever asked for; that one was wanted is remembered.
static int no_passphrase(char *room, int size, int writing, void *was_asked) {
  (void)room; (void)size; (void)writing;
  *(int *)was_asked = 1;
  return -1;
}

int cc_tls_context_use_key(cc_tls_context *context, const void *pem, size_t count) {
  ERR_clear_error();
  int was_asked = 0, problem = 0;
  BIO *b = BIO_new_mem_buf(pem, (int)count);
  if (!b) return CC_TLS_FILE_NO_MEMORY;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(b, 0, no_passphrase, &was_asked);
  BIO_free(b);
  if (!key) {
    // The decoders say much and not whether there was anything to decode.
    int is_empty = !memmem(pem, count, "PRIVATE KEY-----", 16);
    ERR_clear_error();
    return was_asked ? CC_TLS_FILE_ENCRYPTED : is_empty ? CC_TLS_FILE_EMPTY : CC_TLS_FILE_DAMAGED;
  }
  X509 *leaf = SSL_CTX_get0_certificate(ctx(context));
  if (!leaf || X509_check_private_key(leaf, key) != 1) {
    problem = CC_TLS_FILE_OTHER_KEY;
    STACK_OF(X509) *chain = 0;
    SSL_CTX_get0_chain_certs(ctx(context), &chain);
    for (int i = 0; i < sk_X509_num(chain); i++)
      if (X509_check_private_key(sk_X509_value(chain, i), key) == 1) problem = CC_TLS_FILE_LEAF_BEHIND;
  } else if (SSL_CTX_use_PrivateKey(ctx(context), key) != 1) {
    problem = file_problem(CC_TLS_FILE_DAMAGED);
  }
  EVP_PKEY_free(key);
  ERR_clear_error();
  return problem;
}

static void require_clients(SSL_CTX *c) {
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, 0);
}

int cc_tls_context_require_clients(cc_tls_context *context, const void *pem, size_t count) {
  STACK_OF(X509) *authorities;
  int problem = read_certificates(pem, count, CC_TLS_CERTIFICATES_MAX, &authorities);
  if (problem) return problem;
  X509_STORE *store = X509_STORE_new();
  if (!store) problem = CC_TLS_FILE_NO_MEMORY;
  for (int i = 0; !problem && i < sk_X509_num(authorities); i++) {
    X509 *one = sk_X509_value(authorities, i);
    if (X509_STORE_add_cert(store, one) != 1 || SSL_CTX_add_client_CA(ctx(context), one) != 1)
      problem = file_problem(CC_TLS_FILE_DAMAGED);
  }
  if (!problem) {
    SSL_CTX_set1_verify_cert_store(ctx(context), store);
    require_clients(ctx(context));
  }
  X509_STORE_free(store);
  sk_X509_pop_free(authorities, X509_free);
  ERR_clear_error();
  return problem;
}

cc_tls_context *cc_tls_context_renew(const cc_tls_context *context, const cc_tls_rules *rules) {
  SSL_CTX *old = ctx(context);
  SSL_CTX *new = ctx(cc_tls_context_create(rules));
  STACK_OF(X509) *chain = 0;
  X509_STORE *store = 0;
  if (!new) return 0;
  int ok = SSL_CTX_use_certificate(new, SSL_CTX_get0_certificate(old)) == 1 &&
           SSL_CTX_use_PrivateKey(new, SSL_CTX_get0_privatekey(old)) == 1 &&
           SSL_CTX_get0_chain_certs(old, &chain) == 1 && SSL_CTX_set1_chain(new, chain) == 1;
  if (ok && SSL_CTX_get_verify_mode(old) != SSL_VERIFY_NONE) {
    SSL_CTX_get0_verify_cert_store(old, &store);
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(SSL_CTX_get_client_CA_list(old));
    ok = store && names && SSL_CTX_set1_verify_cert_store(new, store) == 1;
    SSL_CTX_set_client_CA_list(new, names);  // takes the list over
    require_clients(new);
  }
  ERR_clear_error();
  if (!ok) { SSL_CTX_free(new); return 0; }
  return (cc_tls_context *)new;
}

static int64_t unix_seconds(const ASN1_TIME *t) {
  struct tm parts;
  if (!t || ASN1_TIME_to_tm(t, &parts) != 1) return 0;
  return (int64_t)timegm(&parts);
}

int cc_tls_context_validity(const cc_tls_context *context, int64_t *not_before, int64_t *not_after) {
  X509 *leaf = SSL_CTX_get0_certificate(ctx(context));
  if (!leaf) return 0;
  *not_before = unix_seconds(X509_get0_notBefore(leaf));
  *not_after = unix_seconds(X509_get0_notAfter(leaf));
  return 1;
}

// - sessions

cc_tls_session *cc_tls_session_create(cc_tls_context *context, cc_tls_window *window) {
  pthread_once(&window_once, make_window_method);
  if (!window_method) return 0;
  ERR_clear_error();
  SSL *s = SSL_new(ctx(context));
  BIO *b = s ? BIO_new(window_method) : 0;
  if (!b) {
    SSL_free(s);
    ERR_clear_error();
    return 0;
  }
  BIO_set_data(b, window);
  BIO_set_init(b, 1);
  SSL_set_bio(s, b, b);
  SSL_set_accept_state(s);
  return (cc_tls_session *)s;
}

void cc_tls_session_free(cc_tls_session *session) {
  SSL_free(ssl(session));
  ERR_clear_error();
}

// Alerts are reasons of their own: SSL_AD_REASON_OFFSET + the alert's number.
static int alert_reason(int alert) {
  switch (alert) {
    case SSL_AD_NO_CERTIFICATE: case SSL_AD_BAD_CERTIFICATE: case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED: case SSL_AD_CERTIFICATE_EXPIRED: case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA: return CC_TLS_REASON_PEER_CERTIFICATE;
    default: return CC_TLS_REASON_PEER_ALERT;
  }
}

// The first word of libssl in the queue; empties it up to there.
static int failure_reason(void) {
  unsigned long e;
  do e = ERR_get_error(); while (e && ERR_GET_LIB(e) != ERR_LIB_SSL);
  if (!e) return CC_TLS_REASON_OTHER;
  int r = ERR_GET_REASON(e);
  if (r >= SSL_AD_REASON_OFFSET && r < SSL_AD_REASON_OFFSET + 256) return alert_reason(r - SSL_AD_REASON_OFFSET);
  switch (r) {
    case SSL_R_HTTP_REQUEST: case SSL_R_HTTPS_PROXY_REQUEST: return CC_TLS_REASON_PLAIN_HTTP;
    case SSL_R_UNSUPPORTED_PROTOCOL: case SSL_R_UNKNOWN_PROTOCOL: case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE: case SSL_R_INAPPROPRIATE_FALLBACK: return CC_TLS_REASON_VERSION;
    case SSL_R_NO_SHARED_CIPHER: case SSL_R_NO_SUITABLE_KEY_SHARE: case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS: case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
      return CC_TLS_REASON_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL: return CC_TLS_REASON_ALPN;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return CC_TLS_REASON_NO_CERTIFICATE;
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return CC_TLS_REASON_CERTIFICATE;
    default: return CC_TLS_REASON_OTHER;
  }
}

static int code(SSL *s, int result, int *reason) {
  int what = SSL_get_error(s, result), given = CC_TLS_FAILED;
  switch (what) {
    case SSL_ERROR_WANT_READ: given = CC_TLS_WANTS_INPUT; break;
    case SSL_ERROR_WANT_WRITE: given = CC_TLS_WANTS_OUTPUT; break;
    case SSL_ERROR_ZERO_RETURN: given = CC_TLS_ENDED; break;
    default: *reason = failure_reason();
  }
  ERR_clear_error();
  return given;
}

int cc_tls_session_handshake(cc_tls_session *session, int *reason) {
  ERR_clear_error();
  int result = SSL_do_handshake(ssl(session));
  return result == 1 ? 1 : code(ssl(session), result, reason);
}

long cc_tls_session_read(cc_tls_session *session, void *bytes, size_t count, int *reason) {
  size_t n = 0;
  ERR_clear_error();
  int result = SSL_read_ex(ssl(session), bytes, count, &n);
  return result == 1 ? (long)n : code(ssl(session), result, reason);
}

long cc_tls_session_write(cc_tls_session *session, const void *bytes, size_t count, int *reason) {
  size_t n = 0;
  ERR_clear_error();
  int result = SSL_write_ex(ssl(session), bytes, count, &n);
  return result == 1 ? (long)n : code(ssl(session), result, reason);
}

void cc_tls_session_end(cc_tls_session *session) {
  ERR_clear_error();
  SSL_shutdown(ssl(session));
  ERR_clear_error();
}

int cc_tls_session_has_pending(const cc_tls_session *session) { return SSL_pending(ssl(session)) > 0; }
int cc_tls_session_is_resumed(const cc_tls_session *session) { return SSL_session_reused(ssl(session)); }
