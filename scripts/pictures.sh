#!/usr/bin/env bash
# Makes the pictures of the README anew, in docs/pictures: each of a real run of fw-ctl in
# network namespaces, by `sandbox pictures`. Needs root.
#
#   scripts/pictures.sh             with target/release/fw-ctl
#   FW_CTL=FILE scripts/pictures.sh with another one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ $EUID != 0 ]]; then
    echo "pictures are taken in network namespaces, which need root" >&2
    echo "  try: sudo scripts/pictures.sh" >&2
    exit 1
fi
if [[ -z ${FW_CTL-} ]]; then
    scripts/cargo.sh build --release --locked -p fw-ctl
    FW_CTL=target/release/fw-ctl
fi
export FW_CTL
scripts/cargo.sh build --locked -p sandbox
exec target/debug/sandbox pictures --out docs/pictures
