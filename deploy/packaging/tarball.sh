#!/bin/bash
# `make tarball`: .build/dist/grapnel-VERSION-linux-MACHINE.tar.gz and its SHA-256. The same binary and the same SOURCE_DATE_EPOCH give
# the same bytes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/common.sh"

name=grapnel-$version-linux-$machine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
top=$work/$name
program=$(binary)

install -Dm755 "$program" "$top/bin/grapnel"
strip --strip-unneeded "$top/bin/grapnel"
install -Dm644 -t "$top" "$root/LICENSE" "$root/README.md"
install -Dm644 -t "$top/doc" "$root"/docs/*.md
install -Dm644 -t "$top/crds" "$root/deploy/crds/hooks.grapnel.dev.yaml"
install -Dm644 -t "$top/systemd" "$root"/deploy/systemd/grapnel.*
install -Dm644 -t "$top/monitoring" "$root"/deploy/monitoring/alerts.yaml "$root"/deploy/monitoring/grafana-dashboard.json
install -Dm644 -t "$top/quickstart" "$root"/deploy/quickstart/{README.md,hook.yaml.in,secret.yaml.in}
install -Dm755 -t "$top/quickstart" "$root"/deploy/quickstart/{serve.sh,action.sh}
if command -v dpkg-query >/dev/null; then dependencies "$program" >"$top/DEPENDS"; fi
settle "$top"

mkdir -p "$dist"
tar --create --directory="$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --format=gnu "$name" | gzip --no-name -9 >"$dist/$name.tar.gz"
(cd "$dist" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$dist/$name.tar.gz"
