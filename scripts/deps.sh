#!/usr/bin/env bash
# Installs with apt what building, running and testing needs and is not there.
# Does nothing, and needs no right, when all is there. What there is, is seen by
# trying it, so that it does not matter where a program came from.
#
#   scripts/deps.sh            for building, running and testing
#   scripts/deps.sh packages   also for trying packages
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# program:package
tools=(
    cc:gcc ip:iproute2 nft:nftables ping:iputils-ping ethtool:ethtool
    sysctl:procps make:make git:git
    # A guest with another kernel (sandbox/src/guest): what runs it, what is in it, and
    # what unpacks kernels and modules.
    qemu-system-x86_64:qemu-system-x86 busybox:busybox-static strip:binutils
    xz:xz-utils zstd:zstd lz4:lz4
    # The unit of systemd, and the disk of a guest that boots (sandbox/tests/service.rs).
    systemd-analyze:systemd mke2fs:e2fsprogs
    # What reads a capture (sandbox/tests/netns/capture.rs).
    tshark:tshark
)

if [[ ${1-} == packages ]]; then
    tools+=(lintian:lintian rpm:rpm rpmlint:rpmlint)
fi

have() {
    # The administrator's programs are not in everybody's search path.
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null
}

# cc alone does not say whether the C library's headers and start files are there.
links_c() {
    echo '#include <stdlib.h>
int main(void) { return EXIT_SUCCESS; }' | cc -x c -o /dev/null - 2>/dev/null
}

# Debian has the formatter and the linter in packages of their own.
missing_rust_tools() {
    scripts/cargo.sh fmt --version >/dev/null 2>&1 || echo rustfmt-web
    if ! scripts/cargo.sh clippy --version >/dev/null 2>&1; then
        echo rust-web-clippy
    elif [[ $(scripts/ebpf-toolchain.sh compiler) == /usr/bin/rustc && ! -x /usr/bin/cargo-clippy ]]; then
        echo rust-web-clippy
    fi
}

refreshed=
install() {
    [[ $# -gt 0 ]] || return 0
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        echo "missing, and there is no apt-get to install it with: $*" >&2
        echo "  (these are names of Debian packages)" >&2
        exit 1
    fi
    if [[ $(id -u) -ne 0 ]]; then
        if ! command -v sudo >/dev/null; then
            echo "missing, and only root may install it: $*" >&2
            echo "  try, as root: apt-get update && apt-get install $*" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    if [[ -z $refreshed ]]; then
        # A fresh list first: rustc-web follows the releases of Rust, and the
        # version that the machine knows of may be too old. One unreachable
        # archive among several need not matter.
        "${as_root[@]}" apt-get update -q || echo "apt-get update failed; going on with the old lists" >&2
        refreshed=yes
    fi
    echo "installing: $*" >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

packages=()
for tool in "${tools[@]}"; do
    have "${tool%%:*}" || packages+=("${tool#*:}")
done
if ! have cc || ! links_c; then
    packages+=(libc6-dev)
fi
# cargo speaks to its registry over TLS.
if [[ ! -e /etc/ssl/certs/ca-certificates.crt && -d /etc/apt ]]; then
    packages+=(ca-certificates)
fi
if ! scripts/cargo.sh --which >/dev/null 2>&1; then
    packages+=(rustc-web cargo-web)
fi
install "${packages[@]}"
scripts/cargo.sh --which >/dev/null

# The compiler first, then the LLVM that this compiler wants.
for _ in compiler llvm; do
    missing=$(scripts/ebpf-toolchain.sh missing-packages)
    mapfile -t packages < <(printf '%s' "$missing")
    install "${packages[@]}"
done

missing=$(missing_rust_tools)
mapfile -t packages < <(printf '%s' "$missing")
install "${packages[@]}"
