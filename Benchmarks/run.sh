#!/bin/bash
# The micro-benchmarks: `make bench`.
#
#   run.sh            counts allocations of each operation and holds them, and its time, against thresholds.json
#   run.sh --times    then also prints the distributions of times by the benchmark package
#   run.sh --write    takes what was found as new thresholds (to be committed on purpose)
set -euo pipefail
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

swift build -c release --product room-allocations
cc -O2 -Wall -shared -fPIC -o "$scratch/alloc_counter.so" ../Tests/Support/alloc_counter.c
head -c 32768 /dev/zero >"$scratch/counts"
TMPDIR=$scratch ALLOC_COUNTER_FILE=$scratch/counts LD_PRELOAD=$scratch/alloc_counter.so \
    .build/release/room-allocations >"$scratch/rows"
if [ "${1:-}" = --write ]; then
    python3 check.py "$scratch/rows" --write
    cat "$scratch/rows"
else
    python3 check.py "$scratch/rows"
fi
if [ "${1:-}" = --times ]; then
    TMPDIR=$scratch swift package --disable-sandbox --allow-writing-to-package-directory benchmark
fi
