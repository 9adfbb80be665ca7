// Counts heap allocations, thread by thread, of the program it is preloaded into.
//
//   cc -O2 -shared -fPIC -o alloc_counter.so alloc_counter.c
//   ALLOC_COUNTER_FILE=FILE LD_PRELOAD=./alloc_counter.so PROGRAM
//
// FILE exists and is zeroed. It is mapped and shared, so that another process reads the counts while the program runs:
//
//   offset  size  meaning
//   0       8     slots handed out
//   64      24    one slot per thread: process, thread (int32 each), allocations, bytes (uint64 each); 1024 of them
//
// Every function of glibc that hands out heap memory is wrapped; the work is done by glibc's own allocator. `free` is
// not counted. A slot is written by its own thread only. Little-endian machines.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 1024
#define HEADER_BYTES 64

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

typedef struct {
    int32_t process, thread;
    _Atomic uint64_t allocations, bytes;
} Slot;

static struct {
    char *memory;
    Slot nowhere;  // before the file is mapped, and when the slots are used up
} shared;

// Initial-exec: the first use of the variable must not itself allocate.
static __thread Slot *mine __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("ALLOC_COUNTER_FILE");
    if (!path) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *memory = mmap(0, HEADER_BYTES + SLOTS * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED) shared.memory = memory;
}

static void count(size_t bytes) {
    if (!mine) {
        if (!shared.memory) return;
        uint64_t index = atomic_fetch_add((_Atomic uint64_t *)shared.memory, 1);
        mine = index < SLOTS ? (Slot *)(shared.memory + HEADER_BYTES) + index : &shared.nowhere;
        if (mine != &shared.nowhere) {
            mine->process = getpid();
            mine->thread = (int32_t)syscall(SYS_gettid);
        }
    }
    atomic_fetch_add_explicit(&mine->allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&mine->bytes, bytes, memory_order_relaxed);
}

void *malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
    count(size);
    return __libc_realloc(memory, size);
}

void *reallocarray(void *memory, size_t number, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(number, size, &total)) {
        errno = ENOMEM;
        return 0;
    }
    count(total);
    return __libc_realloc(memory, total);
}

void *memalign(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) || (alignment & (alignment - 1)) || !alignment) return EINVAL;
    count(size);
    void *memory = __libc_memalign(alignment, size);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}

void *valloc(size_t size) {
    count(size);
    return __libc_memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

void *pvalloc(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t rounded = (size + page - 1) & ~(page - 1);
    count(rounded);
    return __libc_memalign(page, rounded);
}
