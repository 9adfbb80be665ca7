// CLinuxIO: what the event loop and the journal need of Linux, as small functions, inline where they are hot.
//
// No policy, no globals, no allocation. Every function returns a count or descriptor >= 0, or -errno.
// Sources: epoll(7), accept4(2), recv(2), send(2), socket(7), tcp(7), eventfd(2), io_uring(7), liburing 2.3.
#ifndef GRAPNEL_CLINUXIO_H
#define GRAPNEL_CLINUXIO_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CL_RESULT(call) ({ __typeof__(call) cl_r_ = (call); cl_r_ < 0 ? -errno : (int)cl_r_; })

// - epoll

typedef struct { uint64_t token; uint32_t events; } cl_event;
static const uint32_t CL_IN = EPOLLIN, CL_OUT = EPOLLOUT;

static inline int cl_epoll_create(void) { return CL_RESULT(epoll_create1(EPOLL_CLOEXEC)); }

static inline int cl_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
  struct epoll_event e = {.events = events, .data.u64 = token};
  return CL_RESULT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
}
static inline int cl_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token) {
  struct epoll_event e = {.events = events, .data.u64 = token};
  return CL_RESULT(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e));
}
static inline int cl_epoll_remove(int epoll, int fd) {
  struct epoll_event e = {0};
  return CL_RESULT(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &e));
}
// Fills at most `capacity` (<= 512) events. timeout in milliseconds, -1 waits for ever.
static inline int cl_epoll_wait(int epoll, cl_event *_Nonnull out, int capacity, int timeout) {
  struct epoll_event e[512];
  int n = epoll_wait(epoll, e, capacity < 512 ? capacity : 512, timeout);
  if (n < 0) return -errno;
  for (int i = 0; i < n; i++) { out[i].token = e[i].data.u64; out[i].events = e[i].events; }
  return n;
}

// - sockets

// accept4(2): a non-blocking socket, closed on exec.
int cl_accept(int listener);
static inline long cl_recv(int fd, void *_Nonnull bytes, size_t count) {
  ssize_t n = recv(fd, bytes, count, 0);
  return n < 0 ? -errno : n;
}
static inline long cl_send(int fd, const void *_Nonnull bytes, size_t count) {
  ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);
  return n < 0 ? -errno : n;
}
static inline int cl_close(int fd) { return CL_RESULT(close(fd)); }
static inline int cl_shutdown_send(int fd) { return CL_RESULT(shutdown(fd, SHUT_WR)); }
// Closing then sends a reset instead of waiting for what is unsent: for peers that do not read.
static inline int cl_reset_on_close(int fd) {
  struct linger l = {.l_onoff = 1, .l_linger = 0};
  return CL_RESULT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
}
static inline int cl_no_delay(int fd) {
  int one = 1;
  return CL_RESULT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
}
// A listening socket with SO_REUSEADDR and, if `reuse_port`, SO_REUSEPORT. `address` is numeric.
static inline int cl_listen(const char *_Nonnull address, uint16_t port, int reuse_port, int backlog) {
  struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  int is6 = inet_pton(AF_INET6, address, &a6.sin6_addr) == 1;
  if (!is6 && inet_pton(AF_INET, address, &a4.sin_addr) != 1) return -EINVAL;
  int fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0) return -errno;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
      (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one)) ||
      bind(fd, is6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, is6 ? sizeof a6 : sizeof a4) || listen(fd, backlog)) {
    int e = errno;
    close(fd);
    return -e;
  }
  return fd;
}
static inline int cl_local_port(int fd) {
  struct sockaddr_storage a;
  socklen_t n = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &n)) return -errno;
  return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port);
}
// The peer's address as 16 bytes; IPv4 as ::ffff:a.b.c.d.
static inline int cl_peer_address(int fd, uint8_t out[_Nonnull 16]) {
  struct sockaddr_storage a;
  socklen_t n = sizeof a;
  memset(out, 0, 16);
  if (getpeername(fd, (struct sockaddr *)&a, &n)) return -errno;
  if (a.ss_family == AF_INET6) {
    memcpy(out, &((struct sockaddr_in6 *)&a)->sin6_addr, 16);
  } else {
    out[10] = out[11] = 0xff;
    memcpy(out + 12, &((struct sockaddr_in *)&a)->sin_addr, 4);
  }
  return 0;
}

// - wake-up, time, threads

static inline int cl_eventfd(void) { return CL_RESULT(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }
static inline int cl_eventfd_signal(int fd) {
  uint64_t one = 1;
  return CL_RESULT(write(fd, &one, sizeof one));
}
static inline int cl_eventfd_clear(int fd) {
  uint64_t value;
  return CL_RESULT(read(fd, &value, sizeof value));
}
static inline uint64_t cl_now_monotonic(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}
static inline uint64_t cl_now_realtime(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}
// At most 15 characters.
int cl_set_thread_name(const char *_Nonnull name);
// Blocks the signals a server waits for, so that only `cl_wait_signal` sees them. Call before any thread starts.
static inline int cl_block_signals(void) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGTERM); sigaddset(&s, SIGINT); sigaddset(&s, SIGHUP);
  signal(SIGPIPE, SIG_IGN);
  return -pthread_sigmask(SIG_BLOCK, &s, 0);
}
// Waits for SIGTERM, SIGINT or SIGHUP; gives the number.
static inline int cl_wait_signal(void) {
  sigset_t s;
  int number = 0;
  sigemptyset(&s);
  sigaddset(&s, SIGTERM); sigaddset(&s, SIGINT); sigaddset(&s, SIGHUP);
  int e = sigwait(&s, &number);
  return e ? -e : number;
}
// Keeps SIGINT from ending the process, so that `cl_wait_interrupt` sees it. In a process of one thread.
static inline int cl_block_interrupt(void) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGINT);
  return -pthread_sigmask(SIG_BLOCK, &s, 0);
}
// Waits for SIGINT that long: 1 when it came, else 0.
static inline int cl_wait_interrupt(uint64_t nanoseconds) {
  sigset_t s;
  struct timespec t = {(time_t)(nanoseconds / 1000000000ull), (long)(nanoseconds % 1000000000ull)};
  sigemptyset(&s);
  sigaddset(&s, SIGINT);
  return sigtimedwait(&s, 0, &t) == SIGINT;
}
// adjtimex(2): 1 when the kernel says that its clock is kept in step with others, 0 when not.
int cl_clock_is_synchronised(void);
// Raises the soft limit of open files to the hard one (at most 2^20 counted); gives the limit in force.
long cl_raise_open_files(void);
/* Free memory at the heap's end and in its holes goes back to the system; returns 1 when some did (malloc_trim(3)). */
int cl_trim_memory(void);
// Anonymous memory in whole pages that stays out of core dumps when `secret`. NULL when there is none.
static inline void *_Nullable cl_map(size_t count, int secret) {
  void *p = mmap(0, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return 0;
  if (secret) madvise(p, count, MADV_DONTDUMP);
  return p;
}
static inline void cl_unmap(void *_Nonnull bytes, size_t count) { munmap(bytes, count); }

// - io_uring: one ring with a ring of provided buffers. One thread only: the one that made it.

typedef struct cl_ring cl_ring;
typedef struct { uint64_t token; int32_t result; uint32_t flags; } cl_completion;

// NULL and -errno in *error when the kernel refuses (EPERM by seccomp or sysctl, ENOSYS, ENOMEM). `buffers` is a power of two.
cl_ring *_Nullable cl_ring_create(unsigned entries, unsigned buffers, unsigned buffer_bytes, int *_Nonnull error);
void cl_ring_destroy(cl_ring *_Nonnull ring);
void cl_ring_accept(cl_ring *_Nonnull ring, int listener, uint64_t token);  // multishot
void cl_ring_receive(cl_ring *_Nonnull ring, int fd, uint64_t token);       // multishot, provided buffers
void cl_ring_poll(cl_ring *_Nonnull ring, int fd, uint64_t token);          // multishot, readable
void cl_ring_poll_writable(cl_ring *_Nonnull ring, int fd, uint64_t token); // once
void cl_ring_send(cl_ring *_Nonnull ring, int fd, const void *_Nonnull bytes, unsigned count, uint64_t token);
void cl_ring_cancel(cl_ring *_Nonnull ring, uint64_t target);               // no completion of its own on success
void cl_ring_close(cl_ring *_Nonnull ring, int fd);
// Submits, waits for at least one completion, takes at most `capacity`. 0 after the time limit; -1: no limit.
int cl_ring_wait(cl_ring *_Nonnull ring, cl_completion *_Nonnull out, unsigned capacity, int timeout);
int cl_ring_submit(cl_ring *_Nonnull ring);
void *_Nonnull cl_ring_buffer(cl_ring *_Nonnull ring, unsigned id);
void cl_ring_release(cl_ring *_Nonnull ring, unsigned id);
// What a completion's flags say.
static inline int cl_has_more(uint32_t flags) { return (flags & 2u) != 0; }       // IORING_CQE_F_MORE
static inline int cl_has_buffer(uint32_t flags) { return (flags & 1u) != 0; }     // IORING_CQE_F_BUFFER
static inline unsigned cl_buffer_id(uint32_t flags) { return flags >> 16; }       // IORING_CQE_BUFFER_SHIFT

#endif
