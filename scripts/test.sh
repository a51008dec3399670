#!/usr/bin/env bash
# Runs every test of the host crates, the kernel and namespace tests among them
# (those need root; FW_KERNEL_TESTS=require makes it a failure if they cannot
# run), and closes with the sum over all test programs.
#
# A test that cannot run here passes and prints one line `skipped: WHY`: the
# runner knows no such thing. It shows what a passing test printed when asked
# to, below a heading that names the test, so these are counted as skipped. A
# test program that was killed, or did not compile, counts as one failed test.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# The namespace tests run the binary that this very run builds, not whatever an
# earlier release build left behind.
export FW_CTL=${FW_CTL:-$PWD/target/debug/fw-ctl}

# The daemon that tests upgrade to, where they all run.
if [[ $# -eq 0 && ${FW_BPF-} != skip ]]; then
    scripts/next-schema.sh || exit
fi

# Tests with real packets mostly wait for some that must not come.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
scripts/cargo.sh test --locked --workspace --exclude fw-xdp --exclude fw-tc --no-fail-fast "$@" \
    -- --show-output 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

awk -v status="$status" '
    /^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i == "passed;") passed += $(i - 1)
            if ($i == "failed;") failed += $(i - 1)
            if ($i == "ignored;") skipped += $(i - 1)
        }
    }
    /^  process didn.t exit successfully: .* \(signal: / { failed++ }
    /^---- .* stdout ----$/ { new = 1 }
    /^skipped: / && new { skipped++; passed--; new = 0 }
    END {
        if (status != 0 && failed == 0) failed = 1
        printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped
    }
' "$log"
exit "$status"
