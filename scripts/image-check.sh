#!/usr/bin/env bash
# Checks image layouts that scripts/image.sh made, and the tar beside each, if there is one.
#
#   scripts/image-check.sh DIR...
#
# Digests and sizes, media types, that the layer is the one of the configuration, and what is in it:
# names, owners, modes, kinds. JSON is read as image.sh writes it: without spaces, members in order.
#
# Exit status: 0 if nothing is wrong; else 1, with a line for each thing.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

if [[ $# -eq 0 ]]; then
    echo "usage: scripts/image-check.sh DIR..." >&2
    exit 2
fi
oci=application/vnd.oci.image
bad=0

wrong() {
    echo "$image: $1" >&2
    bad=1
}

# The parts of a JSON text that match; nothing if none does.
parts() {
    grep -oE "$1" || true
}

# Descriptors in a text: type, digest, size.
descriptors() {
    parts '"mediaType":"[^"]*","digest":"sha256:[0-9a-f]{64}","size":[0-9]+' |
        sed -E 's/^"mediaType":"([^"]*)","digest":"sha256:([0-9a-f]*)","size":/\1 \2 /'
}

# Takes exactly one descriptor of a type from a text, and sets `found` to its blob.
take() {
    local what=$1 type=$2 text=$3 line digest size
    found=
    line=$(descriptors <<<"$text" | grep "^$type " || true)
    if [[ $(grep -c . <<<"$line") -ne 1 ]]; then
        wrong "there is not one $what of type $type"
        return
    fi
    read -r _ digest size <<<"$line"
    if [[ ! -f $image/blobs/sha256/$digest ]]; then
        wrong "the $what sha256:$digest is not among the blobs"
        return
    fi
    found=$image/blobs/sha256/$digest
    named+=("$digest")
    [[ $(stat -c %s "$found") == "$size" ]] || wrong "the $what has another size than $size"
    [[ $(sha256sum "$found" | cut -d ' ' -f 1) == "$digest" ]] || wrong "the $what is not what its digest says"
}

# One line of a listing by tar: mode, owner, size, date, time, name.
entry() {
    local mode=$1 owner=$2 name=$3
    [[ $owner == 0/0 ]] || wrong "$name belongs to $owner, not to 0/0"
    case $mode in
        drwxr-xr-x | -rwxr-xr-x | -rw-r--r--) ;;
        *) wrong "$name has mode $mode" ;;
    esac
    case /$name/ in
        *//*) wrong "the name $name is absolute or has an empty part" ;;
        */../* | */./*) wrong "the name $name leads elsewhere" ;;
    esac
    # What Talos takes of an extension.
    [[ $extension == no || $mode == d* ]] && return
    case $name in
        manifest.yaml | rootfs/usr/local/*) ;;
        *) wrong "$name is not allowed in an extension: only manifest.yaml, and rootfs/usr/local" ;;
    esac
}

contents() {
    local listing mode owner name names times extension=no
    if ! listing=$(gzip -dc "$1" | tar --list --verbose --numeric-owner --full-time --file=-); then
        wrong "the layer is no tar"
        return
    fi
    # The name is all behind the fifth space; a directory's ends with a slash.
    names=$(sed -E 's/^([^ ]+ +){5}//; s:/$::' <<<"$listing")
    if grep -qx manifest.yaml <<<"$names"; then
        extension=yes
    fi
    while read -r mode owner _ _ _ name; do
        entry "$mode" "$owner" "${name%/}"
    done <<<"$listing"
    [[ -z $(sort <<<"$names" | uniq -d) ]] || wrong "a name is in the layer twice"
    times=$(awk '{ print $4, $5 }' <<<"$listing" | sort -u | wc -l)
    [[ $times == 1 ]] || wrong "the files have $times different times"
}

check() {
    image=${1%/}
    named=()
    local index manifest config layer diff
    if [[ ! -f $image/oci-layout || ! -f $image/index.json ]]; then
        wrong "it is no image layout: there is no oci-layout, or no index.json"
        return
    fi
    [[ $(<"$image/oci-layout") == '{"imageLayoutVersion":"1.0.0"}' ]] || wrong "oci-layout is not of version 1.0.0"
    index=$(<"$image/index.json")
    [[ $index == "{\"schemaVersion\":2,\"mediaType\":\"$oci.index.v1+json\","* ]] || wrong "index.json is no OCI image index"
    [[ $index =~ \"platform\":\{\"architecture\":\"(amd64|arm64)\",\"os\":\"linux\"\} ]] || wrong "index.json names no platform"
    take manifest "$oci.manifest.v1+json" "$index"
    [[ -n $found ]] || return 0
    manifest=$(<"$found")
    [[ $manifest == "{\"schemaVersion\":2,\"mediaType\":\"$oci.manifest.v1+json\","* ]] || wrong "the manifest is no OCI image manifest"
    take configuration "$oci.config.v1+json" "$manifest"
    config=$found
    take layer "$oci.layer.v1.tar+gzip" "$manifest"
    layer=$found
    if [[ -n $config && -n $layer ]]; then
        diff=$(parts '"diff_ids":\["sha256:[0-9a-f]{64}"\]' <"$config")
        [[ $diff == "\"diff_ids\":[\"sha256:$(gzip -dc "$layer" | sha256sum | cut -d ' ' -f 1)\"]" ]] ||
            wrong "the layer is not the one that the configuration names"
        contents "$layer"
    fi
    [[ $(printf '%s\n' "${named[@]}" | sort) == "$(ls "$image/blobs/sha256")" ]] || wrong "there are blobs that nothing names"
    [[ ! -f $image.tar ]] || same_files "$image.tar" || wrong "$image.tar is another image"
}

# Whether a tar has the files of the layout, and no others.
same_files() {
    local unpacked same=0
    unpacked=$(mktemp -d)
    tar --extract --no-same-owner --file="$1" --directory="$unpacked" && diff -r "$unpacked" "$image" >/dev/null || same=1
    rm -rf "$unpacked"
    return "$same"
}

for image in "$@"; do
    check "$image"
done
exit "$bad"
