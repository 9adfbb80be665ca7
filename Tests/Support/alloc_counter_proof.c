// A program that is known to allocate, to prove that alloc_counter.c counts: one thread allocates in every way there
// is, another one does not. Prints process, busy thread, quiet thread, allocations that must have been counted.

#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS 100
#define WAYS 10

static void *volatile keep;  // the compiler may not leave an allocation out

static void *busy(void *tid) {
    *(int *)tid = (int)syscall(SYS_gettid);
    for (int i = 0; i < ROUNDS; i++) {
        void *memory;
        keep = memory = malloc(100); free(memory);
        keep = memory = calloc(10, 10); free(memory);
        keep = memory = realloc(0, 100); free(memory);
        keep = memory = reallocarray(0, 10, 10); free(memory);
        keep = memory = memalign(64, 100); free(memory);
        keep = memory = aligned_alloc(64, 128); free(memory);
        if (posix_memalign(&memory, 64, 100)) abort();
        keep = memory; free(memory);
        keep = memory = valloc(100); free(memory);
        keep = memory = pvalloc(100); free(memory);
        keep = memory = strdup("glibc allocates for us"); free(memory);
    }
    return 0;
}

static void *quiet(void *tid) {
    *(int *)tid = (int)syscall(SYS_gettid);
    volatile int work = 0;
    for (int i = 0; i < 1000000; i++) work += i;
    return 0;
}

int main(void) {
    pthread_t first, second;
    int busy_thread = 0, quiet_thread = 0;
    pthread_create(&first, 0, busy, &busy_thread);
    pthread_create(&second, 0, quiet, &quiet_thread);
    pthread_join(first, 0);
    pthread_join(second, 0);
    printf("%d %d %d %d\n", (int)getpid(), busy_thread, quiet_thread, ROUNDS * WAYS);
    return 0;
}
