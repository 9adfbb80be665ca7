// What needs _GNU_SOURCE: in the header that macro would change types that Swift's Glibc module defines too.
#define _GNU_SOURCE
#include "CLinuxIO.h"

#include <sys/resource.h>

int cl_accept(int listener) { return CL_RESULT(accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)); }

int cl_set_thread_name(const char *name) { return -pthread_setname_np(pthread_self(), name); }

long cl_raise_open_files(void) {
  struct rlimit l;
  if (getrlimit(RLIMIT_NOFILE, &l)) return -errno;
  l.rlim_cur = l.rlim_max;
  setrlimit(RLIMIT_NOFILE, &l);
  if (getrlimit(RLIMIT_NOFILE, &l)) return -errno;
  return l.rlim_cur > 1048576 ? 1048576 : (long)l.rlim_cur;
}
