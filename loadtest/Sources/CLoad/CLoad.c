#define _GNU_SOURCE
#define OPENSSL_SUPPRESS_DEPRECATED
#include "CLoad.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct sockaddr_storage) <= sizeof(((load_address *)0)->storage), "an address fits");
_Static_assert(sizeof(SHA256_CTX) <= sizeof(((load_hmac_key *)0)->inner), "a state fits");

uint64_t load_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t load_own_processor_time(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return ((uint64_t)r.ru_utime.tv_sec + (uint64_t)r.ru_stime.tv_sec) * 1000000000u
        + ((uint64_t)r.ru_utime.tv_usec + (uint64_t)r.ru_stime.tv_usec) * 1000u;
}

int32_t load_resolve(const char *host, const char *port, load_address *result) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = 0;
    int status = getaddrinfo(host, port, &hints, &list);
    if (status != 0) return status;
    memcpy(result->storage, list->ai_addr, list->ai_addrlen);
    result->bytes = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

int32_t load_connect(const load_address *to) {
    const struct sockaddr *address = (const struct sockaddr *)to->storage;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, address, to->bytes) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int32_t load_connect_error(int32_t fd) {
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return errno;
    return error;
}

void load_close(int32_t fd) { close(fd); }

int64_t load_send(int32_t fd, const void *bytes, uint64_t count) {
    ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

int64_t load_receive(int32_t fd, void *bytes, uint64_t count) {
    ssize_t n = recv(fd, bytes, count, 0);
    return n < 0 ? -errno : n;
}

int32_t load_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int32_t load_epoll_watch(int32_t epoll, int32_t fd, uint32_t slot, int32_t add, int32_t write) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (write ? EPOLLOUT : 0), .data.u32 = slot};
    return epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e) < 0 ? -errno : 0;
}

int32_t load_epoll_wait(int32_t epoll, load_event *events, int32_t capacity, uint64_t nanoseconds) {
    struct epoll_event raw[512];
    struct timespec t = {.tv_sec = (time_t)(nanoseconds / 1000000000u), .tv_nsec = (long)(nanoseconds % 1000000000u)};
    int n = epoll_pwait2(epoll, raw, capacity < 512 ? capacity : 512, &t, 0);
    if (n < 0) return -errno;
    for (int i = 0; i < n; i++) {
        events[i].slot = raw[i].data.u32;
        events[i].readable = (raw[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        events[i].writable = (raw[i].events & EPOLLOUT) != 0;
    }
    return n;
}

void load_hmac_prepare(load_hmac_key *key, const uint8_t *bytes, uint64_t count) {
    uint8_t block[64] = {0}, pad[64];
    if (count > sizeof block) SHA256(bytes, count, block);
    else memcpy(block, bytes, count);
    for (int i = 0; i < 64; i++) pad[i] = block[i] ^ 0x36;
    SHA256_Init((SHA256_CTX *)key->inner);
    SHA256_Update((SHA256_CTX *)key->inner, pad, 64);
    for (int i = 0; i < 64; i++) pad[i] = block[i] ^ 0x5c;
    SHA256_Init((SHA256_CTX *)key->outer);
    SHA256_Update((SHA256_CTX *)key->outer, pad, 64);
}

void load_hmac(const load_hmac_key *key, const uint8_t *message, uint64_t count, uint8_t *code) {
    SHA256_CTX c;
    uint8_t digest[32];
    memcpy(&c, key->inner, sizeof c);
    SHA256_Update(&c, message, count);
    SHA256_Final(digest, &c);
    memcpy(&c, key->outer, sizeof c);
    SHA256_Update(&c, digest, 32);
    SHA256_Final(code, &c);
}
