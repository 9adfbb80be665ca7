// The ring over liburing 2.3. Sources: io_uring(7), io_uring_setup(2), io_uring_register(2), io_uring_prep_recv(3),
// io_uring_prep_multishot_accept(3).
#define _GNU_SOURCE
#include "CLinuxIO.h"

#include <liburing.h>
#include <stdlib.h>

struct cl_ring {
  struct io_uring ring;
  struct io_uring_buf_ring *buffers;
  char *memory;
  unsigned count, bytes;
};

cl_ring *cl_ring_create(unsigned entries, unsigned buffers, unsigned buffer_bytes, int *error) {
  cl_ring *r = calloc(1, sizeof *r);
  if (!r) { *error = -ENOMEM; return 0; }
  r->count = buffers;
  r->bytes = buffer_bytes;
  // DEFER_TASKRUN: completions are worked off when this thread asks for them, not in its way.
  struct io_uring_params p = {
      .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = entries * 4};
  int e = io_uring_queue_init_params(entries, &r->ring, &p);
  if (e < 0) { *error = e; free(r); return 0; }
  size_t table = buffers * sizeof(struct io_uring_buf);
  r->buffers = mmap(0, table, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  r->memory = mmap(0, (size_t)buffers * buffer_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (r->buffers == MAP_FAILED || r->memory == MAP_FAILED) {
    if (r->buffers != MAP_FAILED) munmap(r->buffers, table);
    if (r->memory != MAP_FAILED) munmap(r->memory, (size_t)buffers * buffer_bytes);
    io_uring_queue_exit(&r->ring);
    free(r);
    *error = -ENOMEM;
    return 0;
  }
  madvise(r->memory, (size_t)buffers * buffer_bytes, MADV_DONTDUMP);
  struct io_uring_buf_reg reg = {.ring_addr = (unsigned long)r->buffers, .ring_entries = buffers, .bgid = 0};
  e = io_uring_register_buf_ring(&r->ring, &reg, 0);
  if (e) {
    *error = e < 0 ? e : -EINVAL;
    munmap(r->buffers, table);
    munmap(r->memory, (size_t)buffers * buffer_bytes);
    io_uring_queue_exit(&r->ring);
    free(r);
    return 0;
  }
  for (unsigned i = 0; i < buffers; i++)
    io_uring_buf_ring_add(r->buffers, r->memory + (size_t)i * buffer_bytes, buffer_bytes, i, buffers - 1, i);
  io_uring_buf_ring_advance(r->buffers, buffers);
  *error = 0;
  return r;
}

void cl_ring_destroy(cl_ring *r) {
  io_uring_queue_exit(&r->ring);
  munmap(r->buffers, r->count * sizeof(struct io_uring_buf));
  munmap(r->memory, (size_t)r->count * r->bytes);
  free(r);
}

// A full submission queue is emptied into the kernel first.
static struct io_uring_sqe *next(cl_ring *r) {
  struct io_uring_sqe *s = io_uring_get_sqe(&r->ring);
  while (!s) { io_uring_submit(&r->ring); s = io_uring_get_sqe(&r->ring); }
  return s;
}

void cl_ring_accept(cl_ring *r, int listener, uint64_t token) {
  struct io_uring_sqe *s = next(r);
  io_uring_prep_multishot_accept(s, listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
  s->user_data = token;
}
void cl_ring_receive(cl_ring *r, int fd, uint64_t token) {
  struct io_uring_sqe *s = next(r);
  io_uring_prep_recv(s, fd, 0, 0, 0);
  s->ioprio |= IORING_RECV_MULTISHOT;
  s->flags |= IOSQE_BUFFER_SELECT;
  s->buf_group = 0;
  s->user_data = token;
}
void cl_ring_poll(cl_ring *r, int fd, uint64_t token) {
  struct io_uring_sqe *s = next(r);
  io_uring_prep_poll_multishot(s, fd, EPOLLIN);
  s->user_data = token;
}
void cl_ring_poll_writable(cl_ring *r, int fd, uint64_t token) {
  struct io_uring_sqe *s = next(r);
  io_uring_prep_poll_add(s, fd, EPOLLOUT);
  s->user_data = token;
}
void cl_ring_send(cl_ring *r, int fd, const void *bytes, unsigned count, uint64_t token) {
  struct io_uring_sqe *s = next(r);
  // MSG_WAITALL: the kernel goes on until all is sent.
  io_uring_prep_send(s, fd, bytes, count, MSG_NOSIGNAL | MSG_WAITALL);
  s->user_data = token;
}
void cl_ring_cancel(cl_ring *r, uint64_t target) {
  struct io_uring_sqe *s = next(r);
  io_uring_prep_cancel64(s, target, 0);
  s->flags |= IOSQE_CQE_SKIP_SUCCESS;
  s->user_data = 0;
}
void cl_ring_close(cl_ring *r, int fd) {
  struct io_uring_sqe *s = next(r);
  io_uring_prep_close(s, fd);
  s->flags |= IOSQE_CQE_SKIP_SUCCESS;
  s->user_data = 0;
}

int cl_ring_wait(cl_ring *r, cl_completion *out, unsigned capacity, int timeout) {
  struct io_uring_cqe *c;
  int e;
  if (io_uring_cq_ready(&r->ring) || timeout == 0) {
    e = io_uring_submit_and_get_events(&r->ring);
  } else if (timeout < 0) {
    e = io_uring_submit_and_wait(&r->ring, 1);
  } else {
    struct __kernel_timespec t = {.tv_sec = timeout / 1000, .tv_nsec = (timeout % 1000) * 1000000ll};
    e = io_uring_submit_and_wait_timeout(&r->ring, &c, 1, &t, 0);
  }
  if (e < 0 && e != -ETIME && e != -EINTR && e != -EBUSY && e != -EAGAIN) return e;
  unsigned head, n = 0;
  io_uring_for_each_cqe(&r->ring, head, c) {
    if (n == capacity) break;
    out[n].token = c->user_data;
    out[n].result = c->res;
    out[n].flags = c->flags;
    n++;
  }
  io_uring_cq_advance(&r->ring, n);
  return (int)n;
}

int cl_ring_submit(cl_ring *r) { return io_uring_submit(&r->ring); }
void *cl_ring_buffer(cl_ring *r, unsigned id) { return r->memory + (size_t)id * r->bytes; }
void cl_ring_release(cl_ring *r, unsigned id) {
  io_uring_buf_ring_add(r->buffers, r->memory + (size_t)id * r->bytes, r->bytes, id, r->count - 1, 0);
  io_uring_buf_ring_advance(r->buffers, 1);
}
