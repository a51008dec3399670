# The second boot: no policies, and an inventory that cannot be reached.
. /run/guest/steps.sh

step booted
until_ok filters eth0
until_ok says 'accepted last'
show
systemctl show network-pre.target >$out/booted.before-network
systemctl show systemd-networkd >$out/booted.network
ask
sleep 5
keep status fw-ctl status
keep systemctl systemctl status --no-pager fw-ctl
keep inventory systemctl show -P SubState srv-inventory.automount srv-inventory.mount

step appeared
late bind
keep filtered until_ok late_filters
until_ok late_has_address
# An address that the node never had is judged once the kernel has told the daemon of it.
keep known until_ok late_is_judged
ask 198.51.100.1 7003 7004
late unbind

# A daemon that hangs does not feed the watchdog; an interface comes while it does.
step hanging
systemctl kill -s STOP fw-ctl
late bind
ask
keep back until_ok restarted 1
until_ok running
keep filtered until_ok late_filters

step missed
keep why sh -c 'journalctl -b -u fw-ctl | grep -i watchdog'
until_ok late_has_address
ask 198.51.100.1 7003 7004
until_ok says '2 interfaces filtered'
show

step down
keep stop systemctl stop fw-ctl
ask

step end
keep journal journalctl -b -o short-monotonic
systemctl disable srv-inventory.automount
mkdir -p /etc/fw-ctl/policies
echo 'kind: [' >/etc/fw-ctl/policies/node.yaml
echo 'outbund = []' >>/etc/fw-ctl/fw-ctl.toml
