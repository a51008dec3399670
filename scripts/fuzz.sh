#!/usr/bin/env bash
# Runs the targets of fuzz/ with libFuzzer, each FW_FUZZ_SECONDS (60); with arguments
# only those. Needs cargo-fuzz (cargo install cargo-fuzz), a C++ compiler, and a nightly
# Rust beside the stable one (rustup toolchain install nightly). What libFuzzer finds by
# the way goes to target/fuzz, not into the corpora, which are small and made by hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../fuzz"

seconds=${FW_FUZZ_SECONDS:-60}
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz, or a nightly Rust, is not there" >&2
    echo "  try: rustup toolchain install nightly && cargo install cargo-fuzz" >&2
    echo "  without them: FW_FUZZ_SECONDS=$seconds cargo test -p fw-ctl --test fuzz" >&2
    exit 1
fi
if [[ $# -eq 0 ]]; then
    set -- fuzz_targets/*.rs
fi
# The targets ask nothing of the kernel.
export FW_BPF=skip
failed=0
for target in "$@"; do
    target=$(basename "$target" .rs)
    found=../target/fuzz/corpus/$target
    mkdir -p "$found"
    echo "== $target"
    # Without a sanitizer: that needs the nightly standard library, and the crate has
    # hardly any unsafe code.
    cargo +nightly fuzz run --sanitizer none --target-dir ../target/fuzz "$target" \
        "$found" "corpus/$target" -- \
        -max_total_time="$seconds" -timeout=2 -rss_limit_mb=1024 -max_len=16384 \
        -print_final_stats=1 || failed=1
done
exit "$failed"
