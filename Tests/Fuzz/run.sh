#!/bin/bash
# run.sh SECONDS [TARGET...]: builds the fuzz targets and runs each for SECONDS or FUZZ_RUNS executions (default 2,000,000), all unless
# some are named (Head, Decoder/harbor; Decoder alone is all its variants).
# A crash leaves its input in findings/TARGET/ and ends the run with status 1; once fixed, it joins the fixtures.
# FUZZ_KEEP=1 packs what was learnt into corpora/, from where the next run takes it; commit that.
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
python3 "$here/vectors.py" "$scratch/vectors"

if [ $# -eq 0 ]; then
    for seeds in "$here"/*/seeds; do
        set -- "$@" "$(basename "$(dirname "$seeds")")"
    done
fi
targets=()
for target in "$@"; do
    if [ -f "$here/$target/variants" ]; then
        while read -r variant; do targets+=("$target/$variant"); done <"$here/$target/variants"
    else
        targets+=("$target")
    fi
done

# fuzzer TARGET ARGUMENTS...: the fuzzer on the target's corpus and seeds.
fuzzer() {
    local target=$1
    shift
    FUZZ_VARIANT=${target#*/} "$bin/Fuzz${target%%/*}" -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
        -dict="$here/${target%%/*}/dictionary" "$@"
}

# keep TARGET: packs the smallest part of its corpus that covers as much, with names and times that depend on nothing else.
keep() {
    local target=$1 kept=$scratch/kept/$1
    rm -rf "$kept"
    mkdir -p "$kept" "$here/corpora"
    # What the seeds cover already is not kept twice.
    fuzzer "$target" -merge=1 "$kept" "$scratch/corpus/$target" 2>/dev/null
    tar -C "$kept" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . |
        xz -9e >"$here/corpora/${target//\//-}.tar.xz"
}

failed=0
for target in "${targets[@]}"; do
    corpus=$scratch/corpus/$target
    findings=$scratch/findings/$target
    mkdir -p "$corpus" "$findings"
    archive=$here/corpora/${target//\//-}.tar.xz
    if [ -f "$archive" ]; then tar -C "$corpus" -xJf "$archive"; fi
    # The folders that `seeds` lists, relative to this one: read, never written.
    seeds=()
    while read -r folder; do
        case $folder in
        VECTORS) seeds+=("$scratch/vectors") ;;
        *) seeds+=("$here/$folder") ;;
        esac
    done <"$here/${target%%/*}/seeds"
    echo "== $target, $seconds s or ${FUZZ_RUNS:-2000000} executions"
    if ! fuzzer "$target" -max_total_time="$seconds" -runs="${FUZZ_RUNS:-2000000}" -print_final_stats=1 \
        -artifact_prefix="$findings/" "$corpus" "${seeds[@]}"; then
        failed=1
    elif [ -n "${FUZZ_KEEP:-}" ]; then
        keep "$target"
    fi
done
[ $failed -eq 0 ] && echo "no findings in ${#targets[@]} targets" || { echo "findings under $scratch/findings" >&2; exit 1; }
