# The second boot: filtered from the beginning, then the package goes, comes back, and is purged.
. /run/guest/steps.sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
packages=/run/guest/packages

step booted
until_ok running
until_ok says 'mode enforce'
show
systemctl show network-pre.target >$out/booted.before-network
systemctl show systemd-networkd >$out/booted.network
ask
keep status fw-ctl status

step removed
keep remove dpkg -r fw-ctl
ask
keep policies test -s /etc/fw-ctl/policies/node.yaml
keep config test -s /etc/fw-ctl/fw-ctl.toml
keep pins sh -c 'ls /sys/fs/bpf/fw-ctl/v*/links/*'

step again
keep install dpkg -i $packages/current.deb
until_ok says 'mode enforce'
keep enabled systemctl is-enabled fw-ctl
ask

step purged
keep purge dpkg -P fw-ctl
ask
keep config ls /etc/fw-ctl/fw-ctl.toml
keep state ls -d /var/lib/fw-ctl
keep pins ls -d /sys/fs/bpf/fw-ctl
keep unit systemctl cat fw-ctl

step end
keep journal journalctl -b -o short-monotonic
