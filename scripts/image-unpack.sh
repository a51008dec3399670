#!/usr/bin/env bash
# Unpacks the root file system of an image layout that scripts/image.sh made, as a container
# runtime would. As root, files get the owner that the image says: root.
#
#   scripts/image-unpack.sh DIR TO     TO must not exist, or be empty
set -euo pipefail
shopt -s inherit_errexit

if [[ $# -ne 2 ]]; then
    echo "usage: scripts/image-unpack.sh DIR TO" >&2
    exit 2
fi
image=$1
to=$2
if [[ -e $to && -n $(ls -A "$to") ]]; then
    echo "$to is not empty" >&2
    echo "  try: another directory, or: rm -r $to" >&2
    exit 1
fi
# Names that lead out of a directory, and blobs that are not what they say, are refused here.
"$(dirname "${BASH_SOURCE[0]}")/image-check.sh" "$image"

# The digest behind a media type in a text.
digest() {
    sed -E "s/.*\"mediaType\":\"application\/vnd\.oci\.image\.$1\",\"digest\":\"sha256:([0-9a-f]{64})\".*/\1/"
}

manifest=$(digest 'manifest\.v1\+json' <"$image/index.json")
layer=$(digest 'layer\.v1\.tar\+gzip' <"$image/blobs/sha256/$manifest")
mkdir -p "$to"
gzip -dc "$image/blobs/sha256/$layer" |
    tar --extract --preserve-permissions --numeric-owner --directory="$to" --file=-
