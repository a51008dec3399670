#!/usr/bin/env bash
# Asks the build step of fw-ctl about the eBPF toolchain, outside of a build:
# compiles it alone and passes the question on.
#
#   scripts/ebpf-toolchain.sh missing-packages   Debian packages, one a line
#   scripts/ebpf-toolchain.sh compiler           path of the rustc it would use
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

asker=target/ebpf-toolchain
if [[ ! -x $asker || -n $(find fw-ctl/build.rs fw-ctl/build -newer "$asker") ]]; then
    mkdir -p target
    "$(scripts/cargo.sh --which)" --edition 2024 -o "$asker" fw-ctl/build.rs
fi
CARGO_MANIFEST_DIR=$PWD/fw-ctl \
CARGO_PKG_RUST_VERSION=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml) \
    exec "$asker" "$@"
