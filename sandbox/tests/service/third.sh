# The third boot: broken policies and a broken configuration. Then they are mended.
. /run/guest/steps.sh

step booted
until_ok running
show
systemctl show network-pre.target >$out/booted.before-network
systemctl show systemd-networkd >$out/booted.network
ask
keep status fw-ctl status

step mended
mkdir -p /srv/inventory
cp $node/peers.netset /srv/inventory/
cp $node/fw-ctl.toml /etc/fw-ctl/
cp $node/policies/node.yaml /etc/fw-ctl/policies/
keep reload systemctl reload fw-ctl
keep status fw-ctl status
keep system systemctl is-system-running
show
ask

step end
keep journal journalctl -b -o short-monotonic -u fw-ctl
