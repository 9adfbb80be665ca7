// libFuzzer's driver, for targets whose `main` is Swift's.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Runs the fuzzer with the process's arguments; returns the process's exit status. `test` returns 0.
int LLVMFuzzerRunDriver(int *_Nonnull argc, char *_Nullable *_Nonnull *_Nonnull argv,
                        int (*_Nonnull test)(const uint8_t *_Nullable data, size_t size));

#ifdef __cplusplus
}
#endif
