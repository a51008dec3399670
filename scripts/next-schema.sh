#!/usr/bin/env bash
# Builds target/next-schema/fw-ctl: the daemon whose tables differ and have the next
# schema number (the feature next-schema), for tests of an upgrade. target/debug/fw-ctl is
# afterwards what it was.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/cargo.sh build --locked -p fw-ctl --features next-schema
mkdir -p target/next-schema
# By a new name: a daemon may run the old one.
cp --reflink=auto target/debug/fw-ctl target/next-schema/fw-ctl.new
mv target/next-schema/fw-ctl.new target/next-schema/fw-ctl
# Takes no time where it was built before.
scripts/cargo.sh build --locked -p fw-ctl
