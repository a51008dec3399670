#!/usr/bin/env bash
# Runs cargo of a Rust that is new enough for the workspace: the one in the
# search path, else Debian's rustc-web, which lies beside an older rustup.
#
#   scripts/cargo.sh ARGUMENTS...   like cargo ARGUMENTS...
#   scripts/cargo.sh --which        prints the rustc that would be used
#
# Exit status: cargo's; 1 when there is no Rust that is new enough.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")

# Prints the release of a rustc, without what a nightly adds to it.
release() {
    "$1" -vV 2>/dev/null | sed -n 's/^release: \([0-9.]*\).*/\1/p'
}

seen=
for dir in "$(dirname "$(command -v cargo || echo /usr/bin/cargo)")" /usr/bin; do
    if [[ -x $dir/cargo && -x $dir/rustc ]]; then
        found=$(release "$dir/rustc")
        if [[ -n $found && $(printf '%s\n' "$needed" "$found" | sort -V | head -n 1) == "$needed" ]]; then
            if [[ ${1-} == --which ]]; then
                echo "$dir/rustc"
                exit 0
            fi
            # cargo looks for rustc, rustfmt and clippy in the search path.
            export PATH="$dir:$PATH"
            exec "$dir/cargo" "$@"
        fi
        seen+="; $dir/rustc is ${found:-broken}"
    fi
done
{
    echo "no Rust $needed or newer${seen}"
    echo "  try, on Debian: make deps (or: apt-get update && apt-get install rustc-web cargo-web)"
    echo "  try, elsewhere: rustup update stable"
} >&2
exit 1
