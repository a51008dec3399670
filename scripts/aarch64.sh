#!/usr/bin/env bash
# Checks that fw-ctl compiles for aarch64, with the eBPF objects inside, which are the same for
# every machine of that byte order. Where no standard library for aarch64 is installed, that is
# checked along, from the sources that come with the compiler of the eBPF programs.
#
# What compiles C (ring) needs Debian's gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=aarch64-unknown-linux-gnu
if ! command -v aarch64-linux-gnu-gcc >/dev/null; then
    echo "error: no C compiler for aarch64" >&2
    echo "  try, on Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2
    exit 1
fi
rustc=$(scripts/ebpf-toolchain.sh compiler)
arguments=(check --locked --target "$target" -p fw-ctl)
if [[ ! -d $("$rustc" --print sysroot)/lib/rustlib/$target ]]; then
    arguments+=(-Z "build-std=std,panic_unwind")
fi
# The compiler's own directory first: cargo looks for rustc in the search path.
PATH="$(dirname "$rustc"):$PATH" RUSTC_BOOTSTRAP=1 FW_BPF=require \
    CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    "$(dirname "$rustc")/cargo" "${arguments[@]}"
