#!/usr/bin/env bash
# Makes the packages, and tries them: .deb in guests that boot (FW_DEBIAN names other releases
# than bookworm and trixie), .rpm in a root of its own, both by what distributions check packages
# with. Ends with an error if anything is not as it should be.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tries=target/package/tries
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

scripts/packages.sh
# Twice the same bits, of the same binary.
rm -rf $tries
scripts/packages.sh --binary target/x86_64-unknown-linux-gnu/dist/fw-ctl --out $tries/again
for package in "fw-ctl_${version}_amd64.deb" "fw-ctl-$version-1.x86_64.rpm"; do
    cmp "target/package/$package" "$tries/again/$package"
done
size=$(stat -c %s "target/package/fw-ctl_${version}_amd64.deb")
echo "fw-ctl_${version}_amd64.deb: $size bytes"
[[ $size -lt 10000000 ]] || { echo "error: that is more than 10 MB" >&2; exit 1; }

# Other versions, to come from and to go to.
mkdir -p $tries/deb $tries/rpm
cp "target/package/fw-ctl_${version}_amd64.deb" $tries/deb/current.deb
# As the quick start calls it.
cp $tries/deb/current.deb "$tries/deb/fw-ctl_${version}_amd64.deb"
cp "target/package/fw-ctl-$version-1.x86_64.rpm" $tries/rpm/current.rpm
other() {
    scripts/packages.sh --binary "$2" --version "$3" --out "$tries/$1"
    mv "$tries/$1/fw-ctl_$3_amd64.deb" "$tries/deb/$1.deb"
    mv "$tries/$1/fw-ctl-$3-1.x86_64.rpm" "$tries/rpm/$1.rpm"
}
other previous target/x86_64-unknown-linux-gnu/dist/fw-ctl 0.0.9
other patched target/x86_64-unknown-linux-gnu/dist/fw-ctl "$version+1"
scripts/next-schema.sh
strip -o $tries/fw-ctl target/next-schema/fw-ctl
other newer $tries/fw-ctl 9.0.0

scripts/check-packages.sh "target/package/fw-ctl_${version}_amd64.deb" $tries/rpm
export FW_DEBIAN=${FW_DEBIAN:-bookworm trixie}
FW_PACKAGES=$PWD/$tries/deb scripts/cargo.sh test --locked -p sandbox --features packages --test service packages:: -- \
    --nocapture --test-threads 1
