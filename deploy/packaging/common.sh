# What the packaging scripts share: version, times, the binary. Sourced, with `root` set to the top of the checkout.
#
# Environment: SOURCE_DATE_EPOCH (the commit's time unless given), GRAPNEL_BINARY (instead of building), DIST (.build/dist).
# shellcheck shell=bash

version=$(sed -n 's/.*static let number = "\(.*\)".*/\1/p' "$root/Sources/Grapnel/Commands/VersionCommand.swift")
[ -n "$version" ] || { echo "no version in Sources/Grapnel/Commands/VersionCommand.swift" >&2; exit 3; }
machine=$(uname -m)
dist=${DIST:-$root/.build/dist}
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat -c %Y "$root/LICENSE")
fi
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8 TZ=UTC
umask 022

# Builds the binary with the Swift runtime in it, so that the machine it runs on needs no toolchain. In a folder of its own, since the
# plain build would be thrown away by the other flags.
binary() {
    if [ -n "${GRAPNEL_BINARY:-}" ]; then
        echo "$GRAPNEL_BINARY"
        return
    fi
    local scratch=$root/.build-static
    swift build --package-path "$root" -c release --product grapnel --static-swift-stdlib --disable-local-rpath \
        --scratch-path "$scratch" ${JOBS:+-j "$JOBS"} >&2
    echo "$scratch/release/grapnel"
}

# Debian packages whose libraries the binary is linked with, as a Depends field. The C library with the newest version that a symbol asks
# for; the others change their package's name with their interface.
dependencies() {
    local libraries library file package packages=() glibc
    libraries=$(ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// {print $3}')
    for library in $libraries; do
        file=$(realpath "$library")
        # The package may have the file under /lib or /usr/lib: they are one since Debian 12.
        package=$(dpkg-query -S "$file" "${file#/usr}" "/usr$file" 2>/dev/null | sed -n 's/^\([^:,]*\).*/\1/p' | head -1 || true)
        [ -n "$package" ] || { echo "$library belongs to no Debian package; the binary cannot be packaged" >&2; exit 3; }
        packages+=("$package")
    done
    glibc=$(objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -V | tail -1)
    printf '%s\n' "${packages[@]}" | sort -u | sed "s/^libc6$/libc6 (>= $glibc)/" | paste -sd, | sed 's/,/, /g'
}

# Gives every file below $1 the same time and plain rights, so that the same input makes the same bytes.
settle() {
    find "$1" -type d -exec chmod 755 {} +
    find "$1" -print0 | xargs -0 touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
}
