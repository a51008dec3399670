# The first boot: the package is installed, replaced by others, broken, and replaced again.
. /run/guest/steps.sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
packages=/run/guest/packages

record_packages

step open
until_ok has_address eth0
sleep 1
ask

be_patient

step installed
keep install dpkg -i $packages/previous.deb
show
ask
keep enabled systemctl is-enabled fw-ctl
keep mode fw-ctl mode
keep memory cat "/proc/$(systemctl show -P MainPID fw-ctl)/status"
keep group grep '^fw-ctl:' /etc/group
keep security systemd-analyze security --no-pager fw-ctl.service
keep linked /lib64/ld-linux-x86-64.so.2 --verify /usr/sbin/fw-ctl
keep man test -s /usr/share/man/man1/fw-ctl-trace.1.gz

step enforced
cp $node/peers.netset /etc/fw-ctl/inventory/
cp $node/policies/node.yaml /etc/fw-ctl/policies/
sed -i 's/^include = .*/include = ["eth*"]/' /etc/fw-ctl/fw-ctl.toml
keep validate fw-ctl policy validate /etc/fw-ctl/policies
keep reload systemctl reload fw-ctl
keep mode fw-ctl mode enforce
show
ask
systemd-run -q --unit=talk /run/bin/traffic talk --log $out/talk 192.0.2.2:7005

step upgraded
keep install dpkg -i $packages/current.deb
until_ok says 'mode enforce'
show
keep version dpkg-query -W -f '${Version} ${Status}\n' fw-ctl
keep edited grep '^include = \["eth\*"\]' /etc/fw-ctl/fw-ctl.toml
keep status fw-ctl status
ask

step broken
echo 'nonsense = [' >>/etc/fw-ctl/fw-ctl.toml
keep install dpkg -i $packages/patched.deb
until_ok says degraded
show
keep status fw-ctl status
ask
sed -i '$d' /etc/fw-ctl/fw-ctl.toml
keep reload systemctl reload fw-ctl
keep mended fw-ctl status

step older
keep install dpkg -i $packages/current.deb
until_ok says 'mode enforce'
keep version dpkg-query -W -f '${Version} ${Status}\n' fw-ctl
keep status fw-ctl status
ask

# Its tables are others.
step newer
keep install dpkg -i $packages/newer.deb
until_ok says 'mode enforce'
keep version dpkg-query -W -f '${Version} ${Status}\n' fw-ctl
keep status fw-ctl status
ask

step refused
keep install dpkg -i $packages/current.deb
keep version dpkg-query -W -f '${Version} ${Status}\n' fw-ctl
keep running systemctl is-active fw-ctl
keep status fw-ctl status
ask

step killed
systemctl kill -s KILL fw-ctl
until_ok restarted 1
until_ok running
until_ok says 'mode enforce'
ask

step agree
keep bpftool bpftool -j net show dev eth0
keep status fw-ctl status -o json
keep ss ss -Hltn 'sport = :9962'

step end
systemctl stop talk
keep journal journalctl -b -o short-monotonic -u fw-ctl
