#!/bin/bash
# Holds the imports to one direction: `file:line: message` for each import that goes the wrong way, and status 1.
#
#   imports.sh [ROOT]        checks ROOT/Sources (default: this checkout)
#   imports.sh --self-test   plants wrong imports in a copy and expects each to be found
#
# A room is a folder of Sources. The table below says which of our rooms it may import; what is not ours is free, but
# for Foundation, which the hot rooms do without: it allocates behind one's back.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

check() {
    local root=$1
    (cd "$root" && find Sources -name '*.swift' | sort | xargs -r awk '
        BEGIN {
            # room = rooms of ours that it may import
            allowed["CLinuxIO"] = ""; allowed["CCrypto"] = ""; allowed["CJSON"] = ""
            allowed["Metrics"] = ""
            allowed["Ring"] = ""
            allowed["HTTP"] = ""
            allowed["CEL"] = ""
            allowed["Kubernetes"] = ""
            allowed["EventLoop"] = "CLinuxIO CCrypto"
            allowed["Delivery"] = "HTTP CEL CCrypto CJSON"
            allowed["Journal"] = "CLinuxIO Metrics"
            allowed["Trigger"] = "Ring Kubernetes Delivery Metrics Journal"
            allowed["Catalog"] = "Delivery CCrypto CLinuxIO"
            allowed["Cluster"] = "Kubernetes Catalog Delivery"
            allowed["Grapnel"] = "CLinuxIO CCrypto CJSON Metrics Ring HTTP CEL Kubernetes EventLoop Delivery Journal" \
                " Trigger Catalog Cluster"
            hot = "^Sources/(EventLoop|HTTP|Ring|Journal|Metrics|Delivery/(Route|Verify|Senders))/"
            for (room in allowed) {
                count = split(allowed[room], list, " ")
                for (i = 1; i <= count; i++) may[room, list[i]] = 1
            }
        }
        FNR == 1 {
            split(FILENAME, part, "/")
            room = part[2]
            if (!(room in allowed)) {
                printf "%s:1: the room %s is not in the table of Tests/imports.sh\n", FILENAME, room
                failures++
            }
        }
        # Attributes and an access level may stand before `import`, a kind of declaration after it.
        /^[ \t]*(@[A-Za-z_]+(\([^)]*\))?[ \t]+)*((public|package|internal|fileprivate|private)[ \t]+)?import[ \t]/ {
            name = $0
            sub(/^.*import[ \t]+/, "", name)
            sub(/^(struct|class|enum|protocol|typealias|func|var|let|actor)[ \t]+/, "", name)
            sub(/[^A-Za-z0-9_].*$/, "", name)
            if ((name in allowed) && name != room && !((room, name) in may)) {
                printf "%s:%d: %s must not import %s (it may import: %s)\n", FILENAME, FNR, room, name,
                    allowed[room] == "" ? "nothing of ours" : allowed[room]
                failures++
            }
            if (FILENAME ~ hot && name ~ /^Foundation/) {
                printf "%s:%d: a hot room must not import %s (use Glibc)\n", FILENAME, FNR, name
                failures++
            }
        }
        END { exit failures > 0 }
    ')
}

self_test() {
    local copy failures=0
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' RETURN
    # expect NAME FILE LINE FOUND: a file with this one line is refused (FOUND is part of the message) or, with an empty
    # FOUND, accepted.
    expect() {
        local output status
        rm -rf "$copy/Sources"
        mkdir -p "$copy/$(dirname "$2")"
        printf '// A planted file.\n\n%s\n' "$3" >"$copy/$2"
        output=$(check "$copy" 2>&1)
        status=$?
        if [ -n "$4" ] && { [ $status -eq 0 ] || [[ $output != "$2:3: "*"$4"* ]]; }; then
            echo "FAIL imports self-test: $1: expected $2:3 to be refused ($4), got status $status: $output"
            failures=$((failures + 1))
        elif [ -z "$4" ] && [ $status -ne 0 ]; then
            echo "FAIL imports self-test: $1: expected to be accepted, got: $output"
            failures=$((failures + 1))
        fi
    }
    expect "a room importing a later one" Sources/HTTP/A.swift "import Delivery" "HTTP must not import Delivery"
    expect "a public import" Sources/Ring/A.swift "public import Journal" "Ring must not import Journal"
    expect "an import with an attribute" Sources/Delivery/Route/A.swift "@_exported import Catalog" "must not import"
    expect "a testable import" Sources/Kubernetes/A.swift "@testable package import Delivery" "must not import Delivery"
    expect "an import of one declaration" Sources/Journal/Store/A.swift "import struct Ring.Slot" "must not import Ring"
    expect "an indented import" Sources/Metrics/A.swift "    import Ring" "Metrics must not import Ring"
    expect "the executable in a room" Sources/Trigger/A.swift "import Grapnel" "Trigger must not import Grapnel"
    expect "Foundation in a hot room" Sources/Journal/Format/A.swift "import Foundation" "must not import Foundation"
    expect "a part of Foundation" Sources/Delivery/Verify/A.swift "import FoundationEssentials" "FoundationEssentials"
    expect "Foundation in the cold half" Sources/Delivery/Decode/A.swift "import Foundation" ""
    expect "the right direction" Sources/Catalog/A.swift "public import Delivery" ""
    expect "something not ours" Sources/HTTP/A.swift "import Synchronization" ""
    expect "a comment" Sources/HTTP/A.swift "// import Delivery would be wrong here" ""
    # A room that nobody entered in the table is reported with its first line.
    rm -rf "$copy/Sources"; mkdir -p "$copy/Sources/Attic"; echo "let x = 1" >"$copy/Sources/Attic/A.swift"
    if check "$copy" >/dev/null 2>&1; then
        echo "FAIL imports self-test: an unknown room was accepted"
        failures=$((failures + 1))
    fi
    [ $failures -eq 0 ] && echo "imports self-test: ok"
    return $((failures > 0))
}

case "${1:-}" in
    --self-test) self_test ;;
    *) check "${1:-$here}" && echo "imports: ok" ;;
esac
