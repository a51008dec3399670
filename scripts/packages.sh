#!/usr/bin/env bash
# Makes the packages: target/package/fw-ctl_VERSION_amd64.deb and
# target/package/fw-ctl-VERSION-1.x86_64.rpm. Paths and times of this machine are left out, so
# that the same sources can give the same bits.
#
#   scripts/packages.sh [--binary FILE] [--version VERSION] [--out DIR]
#
# --binary   packs this one in place of building one (it should be linked statically)
# --version  calls it so: for tests of upgrades
# --out      where the packages are put; target/package if not said
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CARGO_DEB=3.8.0
CARGO_GENERATE_RPM=0.21.1
target=x86_64-unknown-linux-gnu
stage=target/package

fail() {
    echo "error: $1" >&2
    echo "  try: $2" >&2
    exit 1
}

binary=
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
out=$stage
while [[ $# -gt 0 ]]; do
    [[ $# -ge 2 ]] || fail "$1 wants a value" "scripts/packages.sh --binary FILE"
    case $1 in
    --binary) binary=$2 ;;
    --version) version=$2 ;;
    --out) out=$2 ;;
    *) fail "unknown argument $1" "--binary FILE, --version VERSION, --out DIR" ;;
    esac
    shift 2
done

# What packages call now is when their sources were committed.
if [[ -z ${SOURCE_DATE_EPOCH-} ]]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) ||
        fail "nobody says from when the sources are: this is no git checkout" \
            "SOURCE_DATE_EPOCH=\$(date +%s) make packages"
fi
export SOURCE_DATE_EPOCH

# A tool of cargo at the version that is pinned here, built once for the project alone.
tool() {
    local have
    have=$(".toolchain/bin/$1" "$1" --version 2>/dev/null || ".toolchain/bin/$1" --version 2>/dev/null || :)
    [[ $have == *"$2"* ]] && return
    echo "building $1 $2" >&2
    scripts/cargo.sh install --quiet --locked --root .toolchain "$1@$2"
}

# One binary for every distribution: with the C library inside, and without the paths of this
# machine. The variable is for this target alone: build scripts and eBPF programs are not meant.
build() {
    local flags="-C target-feature=+crt-static"
    flags+=" --remap-path-prefix=$PWD=/fw-ctl"
    flags+=" --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS FW_BPF=require \
        CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$flags" \
        scripts/cargo.sh build --locked --profile dist --target $target -p fw-ctl
    binary=target/$target/dist/fw-ctl
}

# Name, version and licence of every crate that is linked, with the notices that come with them.
third_party() {
    local name version license home notice
    home=${CARGO_HOME:-$HOME/.cargo}
    echo "fw-ctl is linked with these crates. Their notices follow."
    echo
    scripts/cargo.sh tree --locked -p fw-ctl -e normal --target $target --prefix none \
        --format '{p} {l}' | sed 's/ (\*)$//' | grep -v '(/' | sort -u >$stage/crates
    cat $stage/crates
    while read -r name version license; do
        for notice in "$home"/registry/src/*/"$name-${version#v}"/{LICEN[SC]E*,COPYRIGHT*,NOTICE*}; do
            [[ -f $notice ]] || continue
            # The texts that everybody knows are there once, by name of the licence.
            case ${notice##*/} in *APACHE* | *Apache*) continue ;; esac
            printf '\n---- %s %s (%s): %s\n\n' "$name" "$version" "$license" "${notice##*/}"
            cat "$notice"
        done
    done <$stage/crates
    printf '\n---- Apache License 2.0\n\n'
    cat LICENSE-APACHE
}

compressed() {
    gzip -9n >"$1.gz"
}

# Puts together what the packages hold.
assemble() {
    local root=$stage/root doc=$stage/root/usr/share/doc/fw-ctl page layout
    rm -rf $root $stage/debian $stage/rpm
    install -D -m 0755 "$binary" $root/usr/sbin/fw-ctl
    local fw_ctl=$root/usr/sbin/fw-ctl
    layout=$($fw_ctl version --verbose | sed -n 's/^pins *v//p')
    [[ $layout =~ ^[0-9]+$ ]] || fail "$binary does not say which layout its tables have" "make packages"

    install -D -m 0644 packaging/systemd/fw-ctl.service $root/usr/lib/systemd/system/fw-ctl.service
    install -D -m 0644 packaging/systemd/sysusers.d/fw-ctl.conf $root/usr/lib/sysusers.d/fw-ctl.conf
    install -D -m 0644 config/fw-ctl.toml $root/etc/fw-ctl/fw-ctl.toml
    install -D -m 0644 packaging/etc/policies.README $root/etc/fw-ctl/policies/README
    install -D -m 0644 packaging/etc/inventory.README $root/etc/fw-ctl/inventory/README

    mkdir -p $root/usr/share/man/man1
    $fw_ctl man --out $root/usr/share/man/man1 2>/dev/null
    for page in "$root"/usr/share/man/man1/*.1; do
        gzip -9n "$page"
    done
    mkdir -p $root/usr/share/{bash-completion/completions,fish/vendor_completions.d}
    $fw_ctl completions bash >$root/usr/share/bash-completion/completions/fw-ctl
    $fw_ctl completions fish >$root/usr/share/fish/vendor_completions.d/fw-ctl.fish
    mkdir -p $stage/debian/share/zsh/vendor-completions $stage/rpm/share/zsh/site-functions
    $fw_ctl completions zsh >$stage/debian/share/zsh/vendor-completions/_fw-ctl
    cp $stage/{debian/share/zsh/vendor-completions,rpm/share/zsh/site-functions}/_fw-ctl

    mkdir -p $root/usr/share/fw-ctl $doc/examples
    cp -r config/grafana config/prometheus $root/usr/share/fw-ctl/
    cp -r config/policies config/inventory packaging/examples/. $doc/examples/
    cp docs/*.md THREAT-MODEL.md $doc/
    third_party | compressed $doc/third-party.txt
    mkdir -p $stage/rpm/share/licenses/fw-ctl $stage/debian/share/doc/fw-ctl $stage/debian/share/lintian/overrides
    cp LICENSE-APACHE LICENSE-MIT $stage/rpm/share/licenses/fw-ctl/
    cp packaging/debian/copyright $stage/debian/share/doc/fw-ctl/
    compressed $stage/debian/share/doc/fw-ctl/changelog <packaging/debian/changelog
    cp packaging/debian/lintian-overrides $stage/debian/share/lintian/overrides/fw-ctl

    local refuse script
    refuse=$(sed "s/@LAYOUT@/$layout/g" packaging/refuse-older.sh)
    for script in debian/{preinst,postinst,prerm,postrm} rpm/{pre,post,preun,postun}.sh; do
        FW_TEXT=$refuse awk '$0 == "@REFUSE_OLDER@" { print ENVIRON["FW_TEXT"]; next } { print }' \
            "packaging/$script" >"$stage/$script"
    done
}

mkdir -p $stage "$out"
tool cargo-deb $CARGO_DEB
tool cargo-generate-rpm $CARGO_GENERATE_RPM
[[ -n $binary ]] || build
assemble
export PATH="$PWD/.toolchain/bin:$PATH"
deb=$out/fw-ctl_${version}_amd64.deb
scripts/cargo.sh deb --quiet --no-build --no-strip -p fw-ctl --deb-version "$version" -o "$deb"
rpm=$out/fw-ctl-$version-1.x86_64.rpm
scripts/cargo.sh generate-rpm -p fw-ctl --arch x86_64 --source-date "$SOURCE_DATE_EPOCH" \
    -s "version = \"$version\"" -o "$rpm"
sha256sum "$deb" "$rpm"
