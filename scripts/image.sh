#!/usr/bin/env bash
# Makes two OCI images of a statically linked fw-ctl, without a container engine: each as an
# image layout (a directory) and as a tar of it.
#
#   scripts/image.sh BINARY OUTDIR
#
#   OUTDIR/extension   for Talos: a system extension with the service fw-ctl (docs/talos.md)
#   OUTDIR/container   for Kubernetes and other engines (docs/kubernetes.md)
#
# The same binary gives the same bits: names are sorted, everything belongs to root, and every time
# is SOURCE_DATE_EPOCH, or that of the last commit. scripts/image-check.sh checks what came out.
#
# A binary that needs a loader is refused: there is none in the images. FW_IMAGE_ANY_BINARY=1
# takes it all the same, for tests, which put its shared objects beside it after unpacking.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [[ $# -ne 2 ]]; then
    echo "usage: scripts/image.sh BINARY OUTDIR" >&2
    exit 2
fi
binary=$1
out=$2

# What is wrong, and what to do about it.
refuse() {
    printf '%s\n  try: %s\n' "$1" "$2" >&2
    exit 1
}

# An unsigned number of the binary: offset, bytes. Both machines below are little-endian.
number() {
    od -An -v --endian=little -t "u$2" -j "$1" -N "$2" "$binary" | tr -d ' \n'
}

[[ -f $binary ]] || refuse "there is no file $binary" "build it first, statically linked"
# ELF, 64 bits, little-endian.
[[ $(head -c 6 "$binary" | od -An -t x1 | tr -d ' \n') == 7f454c460201 ]] ||
    refuse "$binary is no program for 64-bit Linux (little-endian ELF)" "name the binary itself"
case $(number 18 2) in
    62) architecture=amd64 ;;
    183) architecture=arm64 ;;
    *) refuse "$binary is for a machine that is neither amd64 nor arm64" "build it for one of them" ;;
esac

# A dynamically linked program names its loader in a program header of type PT_INTERP, 3.
is_static() {
    local header size count
    header=$(number 32 8)
    size=$(number 54 2)
    count=$(number 56 2)
    for ((; count > 0; count--, header += size)); do
        [[ $(number "$header" 4) != 3 ]] || return 1
    done
}
if [[ ${FW_IMAGE_ANY_BINARY-} != 1 ]] && ! is_static; then
    refuse "$binary is dynamically linked: in an image there is no loader, and no C library" \
        "a statically linked build (cargo build --target x86_64-unknown-linux-musl), or FW_IMAGE_ANY_BINARY=1 for tests"
fi

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
[[ $version =~ ^[0-9A-Za-z.-]+$ ]] ||
    refuse "no version of the workspace was found in Cargo.toml" "version = \"1.2.3\" below [workspace.package]"
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || true)}
[[ $epoch =~ ^[0-9]+$ ]] ||
    refuse "the images need a time, and this is no git repository" "SOURCE_DATE_EPOCH=\$(date +%s) scripts/image.sh ..."
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)

mkdir -p "$out"
work=$(mktemp -d "$out/.image.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A tar of what is in a directory, the same wherever and whenever it is made.
archive() {
    (cd "$1" && tar --create --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$epoch" -- *)
}

sum() {
    sha256sum "$1" | cut -d ' ' -f 1
}

# The root file system of both: the program, its default configuration, and where runtimes
# mount something. Directories are there before, so that the root can be read-only.
fill() {
    mkdir -p "$1"/{dev,proc,sys,run/fw-ctl,tmp,var/lib/fw-ctl,etc/fw-ctl/{conf.d,policies,inventory}}
    install -D -m 0755 "$binary" "$1/usr/sbin/fw-ctl"
    install -m 0644 "$root/config/fw-ctl.toml" "$1/etc/fw-ctl/fw-ctl.toml"
}

# Puts a file into the blobs of a layout, and prints its descriptor without the closing brace.
blob() {
    local layout=$1 type=$2 file=$3 digest size
    digest=$(sum "$file")
    size=$(stat -c %s "$file")
    mv "$file" "$layout/blobs/sha256/$digest"
    printf '{"mediaType":"%s","digest":"sha256:%s","size":%s' "$type" "$digest" "$size"
}

# The layout of an image with one layer: name, directory of its files, what its
# configuration says of running it (JSON), title.
layout() {
    local name=$1 files=$2 config=$3 title=$4
    local here=$work/$name diff layer described manifest annotations
    local oci=application/vnd.oci.image
    mkdir -p "$here/blobs/sha256"
    archive "$files" >"$work/layer"
    diff=$(sum "$work/layer")
    # -n: neither a name nor a time in the head.
    gzip -n "$work/layer"
    layer=$(blob "$here" "$oci.layer.v1.tar+gzip" "$work/layer.gz")
    annotations=$(printf '"org.opencontainers.image.created":"%s","org.opencontainers.image.title":"%s","org.opencontainers.image.version":"%s"' \
        "$created" "$title" "$version")
    printf '{"created":"%s","architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"%s","created_by":"scripts/image.sh"}]}' \
        "$created" "$architecture" "$config" "$diff" "$created" >"$work/config"
    described=$(blob "$here" "$oci.config.v1+json" "$work/config")
    printf '{"schemaVersion":2,"mediaType":"%s","config":%s},"layers":[%s}],"annotations":{%s}}' \
        "$oci.manifest.v1+json" "$described" "$layer" "$annotations" >"$work/manifest"
    manifest=$(blob "$here" "$oci.manifest.v1+json" "$work/manifest")
    # Talos' imager looks for the platform here.
    printf '{"schemaVersion":2,"mediaType":"%s","manifests":[%s,"platform":{"architecture":"%s","os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}\n' \
        "$oci.index.v1+json" "$manifest" "$architecture" "$version" >"$here/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}\n' >"$here/oci-layout"
    archive "$here" >"$work/$name.tar"
    rm -rf "${out:?}/$name" "$out/$name.tar"
    mv "$here" "$work/$name.tar" "$out/"
    echo "$out/$name and $name.tar: $title $version for $architecture, $(stat -c %s "$out/$name.tar") bytes" >&2
}

extension=$work/files/extension
service=$extension/rootfs/usr/local/lib/containers/fw-ctl
fill "$service"
install -m 0644 "$root/packaging/talos/10-talos.toml" "$service/etc/fw-ctl/conf.d/10-talos.toml"
install -D -m 0644 "$root/packaging/talos/fw-ctl.yaml" \
    "$extension/rootfs/usr/local/etc/containers/fw-ctl.yaml"
sed "s/@VERSION@/$version/" "$root/packaging/talos/manifest.yaml" >"$extension/manifest.yaml"
# Nobody runs this image itself.
layout extension "$extension" '{}' 'fw-ctl, system extension for Talos'

container=$work/files/container
fill "$container"
layout container "$container" \
    '{"Env":["PATH=/usr/sbin"],"Entrypoint":["/usr/sbin/fw-ctl","daemon"],"WorkingDir":"/"}' 'fw-ctl'
