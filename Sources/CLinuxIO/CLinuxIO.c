// What needs _GNU_SOURCE: in the header that macro would change types that Swift's Glibc module defines too.
#define _GNU_SOURCE
#include <malloc.h>
#include "CLinuxIO.h"

#include <sys/resource.h>
#include <sys/timex.h>

int cl_accept(int listener) { return CL_RESULT(accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)); }

int cl_set_thread_name(const char *name) { return -pthread_setname_np(pthread_self(), name); }

int cl_trim_memory(void) { return malloc_trim(0); }

long cl_raise_open_files(void) {
  struct rlimit l;
  if (getrlimit(RLIMIT_NOFILE, &l)) return -errno;
  l.rlim_cur = l.rlim_max;
  setrlimit(RLIMIT_NOFILE, &l);
  if (getrlimit(RLIMIT_NOFILE, &l)) return -errno;
  return l.rlim_cur > 1048576 ? 1048576 : (long)l.rlim_cur;
}

int cl_clock_is_synchronised(void) {
  struct timex t = {0};
  int state = adjtimex(&t);
  if (state < 0) return -errno;
  return state != TIME_ERROR && !(t.status & STA_UNSYNC);
}
