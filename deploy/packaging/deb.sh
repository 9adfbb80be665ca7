#!/bin/bash
# `make deb`: .build/dist/grapnel_VERSION_ARCHITECTURE.deb and its SHA-256, for the Debian release that it is built on.
#
# Environment: as in common.sh, and DEB_MAINTAINER ("Name <address>").
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/common.sh"

architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
top=$work/grapnel
doc=$top/usr/share/doc/grapnel
program=$(binary)

install -Dm755 "$program" "$top/usr/bin/grapnel"
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$top/usr/bin/grapnel"
install -Dm644 "$root/deploy/systemd/grapnel.service" "$top/lib/systemd/system/grapnel.service"
install -Dm644 "$root/deploy/systemd/grapnel.tmpfiles" "$top/usr/lib/tmpfiles.d/grapnel.conf"
install -Dm644 "$root/deploy/systemd/grapnel.yaml" "$top/etc/grapnel/grapnel.yaml"
install -Dm644 "$root/deploy/systemd/grapnel.default" "$top/etc/default/grapnel"
install -Dm644 -t "$doc" "$root/README.md" "$root"/docs/*.md
install -Dm644 -t "$doc/crds" "$root/deploy/crds/hooks.grapnel.dev.yaml"
install -Dm644 -t "$doc/monitoring" "$root/deploy/monitoring/alerts.yaml" "$root/deploy/monitoring/grafana-dashboard.json"
install -Dm644 -t "$doc/quickstart" "$root"/deploy/quickstart/{README.md,hook.yaml.in,secret.yaml.in}
install -Dm755 -t "$doc/quickstart" "$root"/deploy/quickstart/{serve.sh,action.sh}
install -Dm644 "$here/debian/copyright" "$doc/copyright"
mkdir -p "$top/usr/share/man/man1" "$top/usr/share/bash-completion/completions" "$top/usr/share/lintian/overrides"
gzip --no-name -9 --stdout "$here/grapnel.1" >"$top/usr/share/man/man1/grapnel.1.gz"
"$program" --generate-completion-script bash | sed '1{/^#!/d}' >"$top/usr/share/bash-completion/completions/grapnel"
install -Dm644 "$here/debian/lintian-overrides" "$top/usr/share/lintian/overrides/grapnel"
# A fixed text, so that the package does not depend on where it is built.
maintainer=${DEB_MAINTAINER:-Grapnel <grapnel@localhost>}
printf 'grapnel (%s) stable; urgency=medium\n\n  * This version.\n\n -- %s  %s\n' "$version" "$maintainer" \
    "$(date -R -d "@$SOURCE_DATE_EPOCH")" | gzip --no-name -9 >"$doc/changelog.gz"

control=$top/DEBIAN
mkdir -p "$control"
install -m755 -t "$control" "$here"/debian/{postinst,prerm,postrm}
printf '%s\n' /etc/grapnel/grapnel.yaml /etc/default/grapnel >"$control/conffiles"
(cd "$top" && find . -path ./DEBIAN -prune -o -type f -not -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$control/md5sums"
size=$(du --summarize --apparent-size --block-size=1024 --exclude=DEBIAN "$top" | cut -f1)
depends=$(dependencies "$program")
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@SIZE@|$size|" -e "s|@DEPENDS@|$depends|" \
    -e "s|@MAINTAINER@|$maintainer|" "$here/debian/control.in" >"$control/control"
settle "$top"
chmod 644 "$control"/{conffiles,md5sums,control}

mkdir -p "$dist"
package=grapnel_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$top" "$dist/$package" >&2
(cd "$dist" && sha256sum "$package" >"$package.sha256")
echo "$dist/$package"
