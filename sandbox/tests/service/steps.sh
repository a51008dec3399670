# What the scripts of all boots use.
out=/run/guest/out
node=/run/guest/node

# A step begins.
step() {
    read -r up _ </proc/uptime
    echo "$1 $up" >>$out/steps
    step=$1
}

# Runs a command, and keeps what it says and how it ends, as NAME of this step.
keep() {
    name=$step.$1
    shift
    read -r before _ </proc/uptime
    "$@" >"$out/$name" 2>&1
    echo $? >"$out/$name.status"
    read -r after _ </proc/uptime
    echo "$before $after" >"$out/$name.times"
}

# What somebody outside gets, at the port that is allowed and at the other one.
ask() {
    to=${1:-192.0.2.1}
    ip netns exec outside traffic ask "$to:${2:-7001}" "$to:${3:-7002}" >"$out/$step.asked" 2>&1
}

# What systemd knows of the service.
show() {
    systemctl show fw-ctl >"$out/$step.show"
}

# Waits until a command succeeds; at most ten minutes: this machine may be very slow.
until_ok() {
    read -r end _ </proc/uptime
    end=$((${end%.*} + 600))
    until "$@"; do
        read -r now _ </proc/uptime
        [ "${now%.*}" -lt $end ] || return 1
        sleep 0.2
    done
}

running() { [ "$(systemctl show -P SubState fw-ctl)" = running ]; }
says() { systemctl show -P StatusText fw-ctl | grep -q "$1"; }
restarted() { [ "$(systemctl show -P NRestarts fw-ctl)" -ge "$1" ]; }
has_address() { ip -4 address show dev "$1" up | grep -q inet; }
# As the kernel has it, whatever the daemon says.
filters() {
    index=$(cat "/sys/class/net/$1/ifindex")
    ls /sys/fs/bpf/fw-ctl/v*/links | grep -qxE "$index-(xdp|tc-ingress|filter-ingress)"
}

# The interface that comes later: it may `bind` and `unbind`.
late() { cat /run/guest/eth2 >"/sys/bus/virtio/drivers/virtio_net/$1"; }
late_name() { ls "/sys/bus/virtio/devices/$(cat /run/guest/eth2)/net"; }
late_filters() { filters "$(late_name)"; }
late_has_address() { has_address "$(late_name)"; }
late_is_judged() {
    ip netns exec outside traffic ask 198.51.100.1:7003 198.51.100.1:7004 | tail -n 1 |
        grep -qx 'no answer'
}

# What this disk was made without: dpkg's record of packages, as far as ours asks for one.
record_packages() {
    for directory in info updates triggers alternatives; do
        mkdir -p /var/lib/dpkg/$directory
    done
    cat >/var/lib/dpkg/status <<'STATUS'
Package: init-system-helpers
Status: install ok installed
Maintainer: nobody
Architecture: all
Version: 1.65
Description: unpacked without a record
STATUS
    touch /var/lib/dpkg/available
}

# Starts of the service may be slow: what takes some milliseconds elsewhere takes ten seconds and
# more where all is emulated.
be_patient() {
    mkdir -p /etc/systemd/system/fw-ctl.service.d
    printf '[Service]\nTimeoutStartSec=10min\nWatchdogSec=5min\n' \
        >/etc/systemd/system/fw-ctl.service.d/slow.conf
}
