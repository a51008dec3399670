#!/usr/bin/env bash
# Builds target/ebpf-log/fw-ctl, whose eBPF programs log every packet (the feature
# ebpf-log), and tries it with real packets, as root. target/debug/fw-ctl is afterwards what
# it was.
#
#   sudo target/ebpf-log/fw-ctl daemon --ebpf-log ...   prints the lines in its log
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/cargo.sh build --locked -p fw-ctl --features ebpf-log
mkdir -p target/ebpf-log
# By a new name: a daemon may run the old one.
cp --reflink=auto target/debug/fw-ctl target/ebpf-log/fw-ctl.new
mv target/ebpf-log/fw-ctl.new target/ebpf-log/fw-ctl
# Takes no time where it was built before.
scripts/cargo.sh build --locked -p fw-ctl
FW_CTL=$PWD/target/ebpf-log/fw-ctl FW_KERNEL_TESTS=require \
    scripts/cargo.sh test --locked -p sandbox --features ebpf-log --test netns -- ebpf_log::
