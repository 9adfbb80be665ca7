#!/bin/bash
# The Swift tests under the thread and the address sanitizer, each in a build folder of its own.
#
#   sanitize.sh [thread|address]...    both by default
#
# Further arguments for `swift test` come in SANITIZE_FLAGS (for example "--filter RingTests").
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
failed=0
# Sanitized code is ten times slower; what seeds find, the plain runs find.
export GRAPNEL_SEEDS=${GRAPNEL_SEEDS:-10} GRAPNEL_PIPELINE_SEEDS=${GRAPNEL_PIPELINE_SEEDS:-10}
for kind in "${@:-thread address}"; do for sanitizer in $kind; do
    case $sanitizer in
        thread) scratch=.build-tsan ;;
        address) scratch=.build-asan ;;
        *) echo "usage: $0 [thread|address]..." >&2; exit 2 ;;
    esac
    echo "== $sanitizer sanitizer"
    start=$SECONDS
    mkdir -p "$scratch"
    log=$scratch/test.log
    # Exit tests end in a trap on purpose; the backtracer would only slow them down. Swift's own runtime never frees
    # some metadata, so leaks are not looked for.
    # The clients of an API server by themselves: their deadlines would be broken by neighbours that keep all cores busy.
    status=0
    : >"$log"
    for selection in "--skip ^KubernetesTests" "--filter ^KubernetesTests"; do
        # shellcheck disable=SC2086
        SWIFT_BACKTRACE=enable=no GRAPNEL_SANITIZER=$sanitizer \
        TSAN_OPTIONS="suppressions=$root/Tests/Support/tsan.supp halt_on_error=0 exitcode=66" \
        ASAN_OPTIONS="detect_leaks=0" \
            swift test --disable-xctest --sanitize="$sanitizer" --scratch-path "$scratch" ${SANITIZE_FLAGS:-$selection} </dev/null \
            >>"$log" 2>&1 || status=$?
        tail -n 2 "$log"
        [ -n "${SANITIZE_FLAGS:-}" ] && break
    done
    reports=$(grep -c -E 'WARNING: ThreadSanitizer|ERROR: AddressSanitizer' "$log")
    echo "== $sanitizer: status $status, $reports reports, $((SECONDS - start)) s (log: $log)"
    if [ $status -ne 0 ] || [ "$reports" -ne 0 ]; then
        grep -E -A 30 'WARNING: ThreadSanitizer|ERROR: AddressSanitizer|error:' "$log" | head -n 120
        failed=1
    fi
done; done
[ $failed -eq 0 ] && echo "sanitizers: clean"
exit $failed
