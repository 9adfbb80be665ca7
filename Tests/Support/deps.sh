#!/bin/bash
# Installs the Debian packages that Grapnel needs to be built and tested. Does nothing when they are all there.
#
#   deps.sh          what building and testing needs
#   deps.sh run      what building, the quickstart and the demos need
#   deps.sh peers    what only the comparison with other servers needs
#
# No daemon is started: a package that brings one (prometheus, for promtool; haproxy) is installed with a policy that
# forbids it, and the policy is taken away afterwards.
set -euo pipefail

build=(
    libssl-dev       # TLS, single digests
    libipsec-mb-dev  # HMAC of a batch, CRC
    liburing-dev     # io_uring
    libsimdjson-dev  # JSON
    zlib1g-dev       # CRC where the CPU lacks what libipsec-mb wants
    libstdc++-12-dev # the C++ of the JSON shim
    binutils         # strip, for `make tarball` and `make deb`
)
run=(
    python3     # end-to-end tests, demos
    openssl     # signs deliveries without any code of ours
    curl        # the quickstart
)
test=(
    nodejs      # an HTTP/2 server for the tests of the Kubernetes client
    gcc         # the allocation counter
    libc6-dev
    strace      # shows that an answer waits for the sync
    prometheus  # promtool judges /metrics
    docker-registry # a real sender of notifications
    nginx-light # a real load balancer in front of two replicas
    python3-yaml            # manifests, chart and settings of deploy/
    golang-go               # renders the chart with the template engine that Helm has
    golang-github-masterminds-sprig-dev
    golang-k8s-sigs-yaml-dev
    lintian                 # judges the Debian package
)
# The guides' kubectl, from wherever it is.
command -v kubectl >/dev/null || test+=(kubernetes-client)
peers=(haproxy wrk gcc libc6-dev)

case "${1:-}" in
    "") wanted=("${build[@]}" "${run[@]}" "${test[@]}") ;;
    run) wanted=("${build[@]}" "${run[@]}") ;;
    peers) wanted=("${build[@]}" "${peers[@]}") ;;
    *) echo "usage: $0 [run|peers]" >&2; exit 2 ;;
esac

if ! command -v swift >/dev/null; then
    echo "swift was not found. Grapnel needs Swift 6.3 or newer: https://www.swift.org/install/linux" >&2
    exit 3
fi
if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian system. Install what these packages hold by other means: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Missing packages: ${missing[*]}. Run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 3
    fi
    root=(sudo)
fi
echo "installing ${missing[*]}"

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
    "${root[@]}" chmod 755 $policy
    trap '"${root[@]}" rm -f $policy' EXIT
fi

install() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null
}
# The package lists may be absent or old: refresh them once, when the first attempt fails.
if ! install; then
    "${root[@]}" apt-get update -q
    install
fi
