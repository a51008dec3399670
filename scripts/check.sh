#!/usr/bin/env bash
# What reads the sources without running them: formatting, lints, shell scripts.
# FW_BPF=skip leaves the eBPF side out, as in a build (fw-ctl/build.rs).
set -euo pipefail
shopt -s inherit_errexit
FW_BPF=${FW_BPF-}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/cargo.sh fmt --all --check
scripts/cargo.sh fmt --manifest-path fuzz/Cargo.toml --check
scripts/cargo.sh clippy --locked --workspace --exclude fw-xdp --exclude fw-tc --all-targets -- -D warnings

# The fuzz targets are a workspace of their own. libFuzzer itself, in C++, is left out.
scripts/cargo.sh check --locked --manifest-path fuzz/Cargo.toml --no-default-features --target-dir target

# The eBPF side of the sources is seen by the eBPF compiler only. Its clippy is
# called by path: cargo would look for one in rustup's directory first.
if [[ $FW_BPF != skip ]]; then
    toolchain=$(dirname "$(scripts/ebpf-toolchain.sh compiler)")
    CARGO=$toolchain/cargo RUSTC=$toolchain/rustc RUSTC_BOOTSTRAP=1 \
        "$toolchain/cargo-clippy" clippy --locked -p fw-common -p fw-xdp -p fw-tc \
        --target bpfel-unknown-none -Zbuild-std=core --profile bpf --target-dir target/bpf \
        -- -D warnings
fi

if command -v shellcheck >/dev/null; then
    shellcheck scripts/*.sh bench/pktgen/*.sh .ci/run
else
    echo "shellcheck is not installed: the scripts are not checked" >&2
fi
