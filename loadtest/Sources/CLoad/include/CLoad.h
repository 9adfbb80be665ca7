// What the load generator asks of the system: sockets, epoll, a clock, HMAC-SHA256. No policy; failures are -errno.
//
// The functions are not inline and the system's headers stay in CLoad.c: with _GNU_SOURCE some of them define types
// differently from what Swift's Glibc module saw.

#ifndef GRAPNEL_CLOAD_H
#define GRAPNEL_CLOAD_H

#include <stdint.h>

#pragma clang assume_nonnull begin

// Nanoseconds of the monotonic clock.
uint64_t load_now(void);

// Nanoseconds of processor time that this process has used.
uint64_t load_own_processor_time(void);

// A socket address, as the system has it.
typedef struct {
    uint64_t storage[16];
    uint32_t bytes;
} load_address;

// The first address of a host; 0, or the value of getaddrinfo (gai_strerror explains it).
int32_t load_resolve(const char *host, const char *port, load_address *result);

// A non-blocking socket whose connection is on its way (or there).
int32_t load_connect(const load_address *to);

// The error that a connection on its way came to; 0 when it is there.
int32_t load_connect_error(int32_t fd);

void load_close(int32_t fd);
int64_t load_send(int32_t fd, const void *bytes, uint64_t count);
int64_t load_receive(int32_t fd, void *bytes, uint64_t count);

int32_t load_epoll_create(void);

// add: 1 adds, 0 changes the interest. `write`: also wait until the socket takes bytes.
int32_t load_epoll_watch(int32_t epoll, int32_t fd, uint32_t slot, int32_t add, int32_t write);

typedef struct {
    uint32_t slot;
    uint8_t readable, writable;
} load_event;

// Waits at most `nanoseconds`; the number of events, at most `capacity`, which is at most 512.
int32_t load_epoll_wait(int32_t epoll, load_event *events, int32_t capacity, uint64_t nanoseconds);

// HMAC-SHA256 with the key's two pads hashed once (RFC 2104 section 4): two SHA256_CTX.
typedef struct {
    uint64_t inner[16], outer[16];
} load_hmac_key;

void load_hmac_prepare(load_hmac_key *key, const uint8_t *bytes, uint64_t count);

// The 32 bytes of the code for a message.
void load_hmac(const load_hmac_key *key, const uint8_t *message, uint64_t count, uint8_t *code);

#pragma clang assume_nonnull end
#endif
