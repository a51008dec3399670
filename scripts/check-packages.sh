#!/usr/bin/env bash
# Checks packages as distributions do, and tries .rpm in a root of its own: installed, replaced,
# broken off, removed.
#
#   scripts/check-packages.sh DEB RPMS
#
# RPMS is a directory with previous.rpm, current.rpm and newer.rpm.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

deb=$1
rpms=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failed=0

# One row of the table: what was done, and whether it went as it should.
row() {
    local mark=ok
    if [[ $2 != ok ]]; then
        mark=BAD
        failed=1
    fi
    printf '%-4s%s\n' "$mark" "$1"
}

# Runs what must succeed.
must() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        row "$what" ok
    else
        row "$what" bad
        printf '%s\n' "$said" | sed 's/^/      /'
    fi
}

# Is in what was said.
says() {
    if grep -qF -- "$2" "$root/said"; then
        row "$1" ok
    else
        row "$1: \"$2\"" bad
        sed 's/^/      /' "$root/said"
    fi
}

must 'lintian' lintian --fail-on error,warning --tag-display-limit 0 "$deb"
# It wants the name that is inside.
cp "$rpms/current.rpm" "$root/$(rpm -qp --qf '%{NVRA}.rpm' "$rpms/current.rpm" 2>/dev/null)"
must 'rpmlint' rpmlint --strict --config packaging/rpm/rpmlint.toml "$root"/fw-ctl-*.rpm

# A root with a shell, as small as it gets; systemd is not in it.
system=$root/system
mkdir -p "$system"/{bin,dev,etc,usr/sbin,var/lib,sys,run}
mknod "$system/dev/null" c 1 3
cp "$(command -v busybox)" "$system/bin/busybox"
for name in sh sed ls rm; do ln -s busybox "$system/bin/$name"; done
of_root() {
    rpm --root "$system" --nodeps "$@"
}
rpm --root "$system" --initdb
must 'rpm: install' of_root -i "$rpms/previous.rpm"
must 'rpm: every file is as it was packed' of_root -V fw-ctl
must 'rpm: the program runs' chroot "$system" /usr/sbin/fw-ctl version
must 'rpm: the same program wants no library' chroot "$system" /usr/sbin/fw-ctl policy validate /usr/share/doc/fw-ctl/examples/policies
echo '# edited' >>"$system/etc/fw-ctl/fw-ctl.toml"
echo '# mine' >"$system/etc/fw-ctl/policies/mine.yaml"
must 'rpm: upgrade' of_root -U "$rpms/current.rpm"
must 'rpm: the edited configuration stays' grep -q '^# edited' "$system/etc/fw-ctl/fw-ctl.toml"
must 'rpm: the version' grep -q "^fw-ctl-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)-1" <(rpm --root "$system" -q fw-ctl)
# As if the newer version filtered: its links, as files.
mkdir -p "$system/sys/fs/bpf/fw-ctl/v999/links"
touch "$system/sys/fs/bpf/fw-ctl/v999/links/2-xdp"
if of_root -U --force "$rpms/current.rpm" >"$root/said" 2>&1; then
    row 'rpm: refused while a newer version filters' bad
else
    row 'rpm: refused while a newer version filters' ok
fi
says 'rpm: says why' 'a newer version filters this node'
must 'rpm: and nothing was changed' of_root -V --noconfig fw-ctl
rm -r "$system/sys/fs/bpf/fw-ctl"
of_root -e fw-ctl >"$root/said" 2>&1 || row 'rpm: remove' bad
says 'rpm: removal says what is so now' 'this node is open'
must 'rpm: policies stay' test -s "$system/etc/fw-ctl/policies/mine.yaml"
must 'rpm: the edited configuration stays beside' test -s "$system/etc/fw-ctl/fw-ctl.toml.rpmsave"
must 'rpm: the program is gone' test ! -e "$system/usr/sbin/fw-ctl"
exit $failed
