// CTLSPeer: what tests need on the other side of TLS: certificates made on the spot, and a client without sockets.
#ifndef GRAPNEL_CTLSPEER_H
#define GRAPNEL_CTLSPEER_H

#include <stddef.h>
#include <stdint.h>

enum { CTP_AUTHORITY, CTP_SERVER, CTP_CLIENT };
enum { CTP_P256, CTP_RSA2048, CTP_RSA1024 };

// Makes a key and a certificate over it, both PEM with a zero at the end (at most 8 KiB each), issued by `issuer` (NULL: by itself). Valid from
// `begins` to `ends` seconds from now. 1 on success.
int ctp_issue(const char *_Nonnull name, int use, int key_type, long begins, long ends, const char *_Nullable issuer_certificate,
              const char *_Nullable issuer_key, char *_Nonnull certificate, char *_Nonnull key);
// The same key with a passphrase. 1 on success.
int ctp_encrypt_key(const char *_Nonnull key, char *_Nonnull encrypted);

typedef struct ctp_client ctp_client;

// What a client offers. NULL and 0 leave the default.
typedef struct {
  const char *_Nullable authorities;  // whom it trusts; NULL: anybody
  const char *_Nullable certificate, *_Nullable key;
  int version_min, version_max;
  const char *_Nullable suites;  // of TLS 1.2
  const uint8_t *_Nullable protocols;  // ALPN, each with its length before it
  size_t protocols_count;
  const char *_Nullable server_name;
} ctp_offer;

ctp_client *_Nullable ctp_client_create(const ctp_offer *_Nonnull offer);
void ctp_client_free(ctp_client *_Nonnull client);
// Ciphertext in and out. `take` gives the count.
void ctp_client_give(ctp_client *_Nonnull client, const void *_Nonnull bytes, size_t count);
size_t ctp_client_take(ctp_client *_Nonnull client, void *_Nonnull bytes, size_t count);
// 1 done, 0 goes on, -1 failed.
int ctp_client_handshake(ctp_client *_Nonnull client);
// Plaintext. Counts; 0 nothing now, -1 failed, -2 close_notify came.
long ctp_client_write(ctp_client *_Nonnull client, const void *_Nonnull bytes, size_t count);
long ctp_client_read(ctp_client *_Nonnull client, void *_Nonnull bytes, size_t count);
void ctp_client_end(ctp_client *_Nonnull client);
// TLS 1.3: new keys, and the peer is asked for new ones. 1 on success.
int ctp_client_update_keys(ctp_client *_Nonnull client);
// The next connection of `to` goes on from the session of `from`. 1 when there is a ticket.
int ctp_client_resume(ctp_client *_Nonnull to, ctp_client *_Nonnull from);
int ctp_client_is_resumed(ctp_client *_Nonnull client);
// The number of the alert that came, -1 for none.
int ctp_client_alert(ctp_client *_Nonnull client);
int ctp_client_version(ctp_client *_Nonnull client);
// The chosen protocol's length, 0 for none.
size_t ctp_client_protocol(ctp_client *_Nonnull client, char *_Nonnull bytes, size_t count);
// Common name of the server's certificate, with a zero. 1 when there is one.
int ctp_client_server(ctp_client *_Nonnull client, char *_Nonnull name, size_t count);

#endif
