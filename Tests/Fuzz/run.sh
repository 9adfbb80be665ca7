#!/bin/sh
# run.sh SECONDS [TARGET...]: builds the fuzz targets and runs each for SECONDS, all unless some are named (Head, Chunked ...).
# A crash leaves its input in findings/TARGET/ and ends the run with status 1; once fixed, it joins the fixtures.
# FUZZ_SCRATCH: where build, corpora and findings go (default: .build beside this script).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=${FUZZ_SCRATCH:-$here/.build}
[ $# -ge 1 ] || { echo "usage: run.sh SECONDS [TARGET...]" >&2; exit 2; }
seconds=$1
shift
# A crash test must not wait for Swift's backtracer; libFuzzer reports by itself.
export SWIFT_BACKTRACE=enable=no
# The Swift runtime keeps metadata for ever: leaks are not what is looked for here.
export ASAN_OPTIONS=detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}

swift build --package-path "$here" --scratch-path "$scratch" -c release -j "${JOBS:-2}"
bin=$(swift build --package-path "$here" --scratch-path "$scratch" -c release --show-bin-path)

if [ $# -eq 0 ]; then
    for seeds in "$here"/*/seeds; do
        set -- "$@" "$(basename "$(dirname "$seeds")")"
    done
fi

failed=0
for target in "$@"; do
    corpus=$scratch/corpus/$target
    findings=$scratch/findings/$target
    mkdir -p "$corpus" "$findings"
    # The folders that `seeds` lists, relative to this one: read, never written.
    seeds=
    while read -r folder; do
        seeds="$seeds $here/$folder"
    done <"$here/$target/seeds"
    echo "== $target, $seconds s"
    # shellcheck disable=SC2086 # the seed folders are several words
    if ! "$bin/Fuzz$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$findings/" -dict="$here/$target/dictionary" "$corpus" $seeds; then
        failed=1
    fi
done
[ $failed -eq 0 ] && echo "no findings" || { echo "findings under $scratch/findings" >&2; exit 1; }
