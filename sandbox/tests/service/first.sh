# The first boot: the firewall is installed and enabled, and all that may happen to it.
. /run/guest/steps.sh

step open
until_ok has_address eth0
sleep 1
ask

# As a package does it.
cp /run/bin/fw-ctl /usr/sbin/
cp -r /run/guest/packaging/fw-ctl.service /usr/lib/systemd/system/
cp /run/guest/packaging/sysusers.d/fw-ctl.conf /usr/lib/sysusers.d/
systemd-sysusers fw-ctl.conf
# What takes some milliseconds elsewhere takes ten seconds where all is emulated, and three times
# that where others want the same processors: a start in this boot and the next, and in this one a
# change, beside the verifier at work.
mkdir -p /etc/systemd/system/fw-ctl.service.d /run/systemd/system/fw-ctl.service.d
printf '[Service]\nTimeoutStartSec=10min\n' >/etc/systemd/system/fw-ctl.service.d/slow.conf
printf '[Service]\nWatchdogSec=5min\n' >/run/systemd/system/fw-ctl.service.d/watchdog.conf
systemctl daemon-reload
mkdir -p /etc/fw-ctl/policies /srv/inventory
cp $node/fw-ctl.toml /etc/fw-ctl/
cp $node/peers.netset /srv/inventory/

step broken
echo 'kind: [' >/etc/fw-ctl/policies/node.yaml
keep enable systemctl enable --now fw-ctl
show
ask

step filtered
cp $node/policies/node.yaml /etc/fw-ctl/policies/
keep reload systemctl reload fw-ctl
show
ask
keep ssh ip netns exec outside traffic ask 192.0.2.1:7006
keep socket stat -c '%A %U %G' /run/fw-ctl/control.sock
keep process cat "/proc/$(systemctl show -P MainPID fw-ctl)/status"
keep security systemd-analyze security --no-pager fw-ctl.service
keep verify systemd-analyze verify --man=no /usr/lib/systemd/system/fw-ctl.service
systemd-run -q --unit=talk /run/bin/traffic talk --log $out/talk 192.0.2.2:7005

step good
sed 's/name: node/name: same/' $node/policies/node.yaml >/etc/fw-ctl/policies/same.yaml
keep reload systemctl reload fw-ctl
ask

step bad
echo 'kind: [' >/etc/fw-ctl/policies/same.yaml
keep reload systemctl reload fw-ctl
show
ask
rm /etc/fw-ctl/policies/same.yaml
keep mended systemctl reload fw-ctl

# A daemon that is killed and cannot come back: first it ends at once, again and again, then
# the kernel finds that it takes too much memory.
step killed
printf '[Service]\nExecStart=\nExecStart=/bin/false\n' >/run/systemd/system/fw-ctl.service.d/loop.conf
systemctl daemon-reload
systemctl kill -s KILL fw-ctl
until_ok restarted 4
show
ask
rm /run/systemd/system/fw-ctl.service.d/loop.conf

step oom
systemctl set-property --runtime fw-ctl MemoryMax=2M
systemctl daemon-reload
keep killed until_ok sh -c "journalctl -b -u fw-ctl | grep \"result 'oom-kill'\""
ask
systemctl set-property --runtime fw-ctl MemoryMax=infinity
keep back until_ok running
until_ok says 'interfaces filtered$'

step detached
keep detach fw-ctl detach
keep status fw-ctl status
show
ask

step closed
keep reload systemctl reload fw-ctl
ask

step stopped
keep stop systemctl stop fw-ctl
show
ask

step end
systemctl stop talk
keep journal journalctl -b -o short-monotonic -u fw-ctl

# What the next boot finds: no policies, and an inventory on a disk of the network that
# does not answer.
rm -r /etc/fw-ctl/policies /srv/inventory
cat >/etc/systemd/system/srv-inventory.mount <<'UNIT'
[Unit]
DefaultDependencies=no
[Mount]
What=/dev/disk/by-id/on-the-network
Where=/srv/inventory
Type=ext4
Options=_netdev
TimeoutSec=infinity
UNIT
cat >/etc/systemd/system/srv-inventory.automount <<'UNIT'
[Automount]
Where=/srv/inventory
[Install]
WantedBy=local-fs.target
UNIT
mkdir -p /etc/systemd/system/dev-disk-by\\x2did-on\\x2dthe\\x2dnetwork.device.d
printf '[Unit]\nJobRunningTimeoutSec=infinity\n' \
    >/etc/systemd/system/dev-disk-by\\x2did-on\\x2dthe\\x2dnetwork.device.d/patience.conf
systemctl daemon-reload
keep automount systemctl enable srv-inventory.automount
