#include "CTLSPeer.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { PEM_BYTES = 8192 };

static int to_text(BIO *b, char *out) {
  int n = b ? BIO_read(b, out, PEM_BYTES - 1) : -1;
  BIO_free(b);
  if (n <= 0) return 0;
  out[n] = 0;
  return 1;
}

static X509 *certificate_of(const char *pem) {
  BIO *b = BIO_new_mem_buf(pem, -1);
  X509 *x = PEM_read_bio_X509(b, 0, 0, 0);
  BIO_free(b);
  return x;
}
static EVP_PKEY *key_of(const char *pem) {
  BIO *b = BIO_new_mem_buf(pem, -1);
  EVP_PKEY *k = PEM_read_bio_PrivateKey(b, 0, 0, 0);
  BIO_free(b);
  return k;
}

static void extend(X509 *x, X509 *issuer, int which, const char *value) {
  X509V3_CTX c;
  X509V3_set_ctx_nodb(&c);
  X509V3_set_ctx(&c, issuer, x, 0, 0, 0);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(0, &c, which, value);
  if (e) X509_add_ext(x, e, -1);
  X509_EXTENSION_free(e);
}

int ctp_issue(const char *name, int use, int key_type, long begins, long ends, const char *issuer_certificate,
              const char *issuer_key, char *certificate, char *key) {
  EVP_PKEY *k = key_type == CTP_P256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(key_type == CTP_RSA1024 ? 1024 : 2048);
  X509 *x = X509_new();
  X509 *issuer = issuer_certificate ? certificate_of(issuer_certificate) : 0;
  EVP_PKEY *signer = issuer_key ? key_of(issuer_key) : 0;
  uint64_t serial = 0;
  RAND_bytes((unsigned char *)&serial, sizeof serial);
  X509_set_version(x, 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(x), begins);
  X509_gmtime_adj(X509_getm_notAfter(x), ends);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
  X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : X509_get_subject_name(x));
  X509_set_pubkey(x, k);
  extend(x, issuer ? issuer : x, NID_basic_constraints, use == CTP_AUTHORITY ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (use == CTP_SERVER) {
    extend(x, issuer, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    extend(x, issuer, NID_ext_key_usage, "serverAuth");
  }
  if (use == CTP_CLIENT) extend(x, issuer, NID_ext_key_usage, "clientAuth");
  int ok = X509_sign(x, signer ? signer : k, EVP_sha256()) > 0;
  BIO *b = BIO_new(BIO_s_mem());
  ok = ok && PEM_write_bio_X509(b, x);
  ok = to_text(b, certificate) && ok;
  b = BIO_new(BIO_s_mem());
  ok = ok && PEM_write_bio_PrivateKey(b, k, 0, 0, 0, 0, 0);
  ok = to_text(b, key) && ok;
  X509_free(x);
  X509_free(issuer);
  EVP_PKEY_free(k);
  EVP_PKEY_free(signer);
  ERR_clear_error();
  return ok;
}

int ctp_encrypt_key(const char *key, char *encrypted) {
  EVP_PKEY *k = key_of(key);
  BIO *b = BIO_new(BIO_s_mem());
  int ok = PEM_write_bio_PKCS8PrivateKey(b, k, EVP_aes_256_cbc(), "passphrase", 10, 0, 0);
  ok = to_text(b, encrypted) && ok;
  EVP_PKEY_free(k);
  return ok;
}

struct ctp_client {
  SSL_CTX *context;
  SSL *ssl;
  BIO *in, *out;
  SSL_SESSION *ticket;
  int alert;
};

static int keep_ticket(SSL *s, SSL_SESSION *session) {
  ctp_client *c = SSL_get_app_data(s);
  SSL_SESSION_free(c->ticket);
  c->ticket = session;
  return 1;
}

static void note_alert(const SSL *s, int where, int value) {
  ctp_client *c = SSL_get_app_data(s);
  if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value >> 8) == 2) c->alert = value & 0xff;
}

ctp_client *ctp_client_create(const ctp_offer *o) {
  ctp_client *c = calloc(1, sizeof *c);
  c->alert = -1;
  c->context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_security_level(c->context, 0);
  SSL_CTX_set_min_proto_version(c->context, o->version_min ? o->version_min : TLS1_VERSION);
  SSL_CTX_set_max_proto_version(c->context, o->version_max);
  SSL_CTX_set_cipher_list(c->context, o->suites ? o->suites : "ALL:@SECLEVEL=0");
  SSL_CTX_set_session_cache_mode(c->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(c->context, keep_ticket);
  if (o->protocols) SSL_CTX_set_alpn_protos(c->context, o->protocols, (unsigned)o->protocols_count);
  if (o->authorities) {
    X509 *x = certificate_of(o->authorities);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(c->context), x);
    X509_free(x);
    SSL_CTX_set_verify(c->context, SSL_VERIFY_PEER, 0);
  }
  if (o->certificate && o->key) {
    X509 *x = certificate_of(o->certificate);
    EVP_PKEY *k = key_of(o->key);
    SSL_CTX_use_certificate(c->context, x);
    SSL_CTX_use_PrivateKey(c->context, k);
    X509_free(x);
    EVP_PKEY_free(k);
  }
  c->ssl = SSL_new(c->context);
  SSL_set_app_data(c->ssl, c);
  SSL_set_info_callback(c->ssl, note_alert);
  if (o->server_name) SSL_set_tlsext_host_name(c->ssl, o->server_name);
  c->in = BIO_new(BIO_s_mem());
  c->out = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(c->in, -1);
  SSL_set_bio(c->ssl, c->in, c->out);
  SSL_set_connect_state(c->ssl);
  return c;
}

void ctp_client_free(ctp_client *c) {
  SSL_free(c->ssl);
  SSL_CTX_free(c->context);
  SSL_SESSION_free(c->ticket);
  free(c);
}

void ctp_client_give(ctp_client *c, const void *bytes, size_t count) { if (count) BIO_write(c->in, bytes, (int)count); }
size_t ctp_client_take(ctp_client *c, void *bytes, size_t count) {
  int n = BIO_read(c->out, bytes, (int)count);
  return n > 0 ? (size_t)n : 0;
}

static long outcome(ctp_client *c, int result, size_t n) {
  if (result == 1) return (long)n;
  int e = SSL_get_error(c->ssl, result);
  ERR_clear_error();
  return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : e == SSL_ERROR_ZERO_RETURN ? -2 : -1;
}

int ctp_client_handshake(ctp_client *c) {
  ERR_clear_error();
  int r = SSL_do_handshake(c->ssl);
  return (int)outcome(c, r, 1);
}
long ctp_client_write(ctp_client *c, const void *bytes, size_t count) {
  size_t n = 0;
  ERR_clear_error();
  int r = SSL_write_ex(c->ssl, bytes, count, &n);
  return outcome(c, r, n);
}
long ctp_client_read(ctp_client *c, void *bytes, size_t count) {
  size_t n = 0;
  ERR_clear_error();
  int r = SSL_read_ex(c->ssl, bytes, count, &n);
  return outcome(c, r, n);
}
void ctp_client_end(ctp_client *c) { ERR_clear_error(); SSL_shutdown(c->ssl); ERR_clear_error(); }
int ctp_client_update_keys(ctp_client *c) {
  ERR_clear_error();
  return SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(c->ssl) == 1;
}
int ctp_client_resume(ctp_client *to, ctp_client *from) {
  return from->ticket && SSL_set_session(to->ssl, from->ticket) == 1;
}
int ctp_client_is_resumed(ctp_client *c) { return SSL_session_reused(c->ssl); }
int ctp_client_alert(ctp_client *c) { return c->alert; }
int ctp_client_version(ctp_client *c) { return SSL_version(c->ssl); }
size_t ctp_client_protocol(ctp_client *c, char *bytes, size_t count) {
  const unsigned char *p;
  unsigned n;
  SSL_get0_alpn_selected(c->ssl, &p, &n);
  if (n > count) n = (unsigned)count;
  if (n) memcpy(bytes, p, n);
  return n;
}
int ctp_client_server(ctp_client *c, char *name, size_t count) {
  X509 *x = SSL_get0_peer_certificate(c->ssl);
  return x && X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, (int)count) > 0;
}
