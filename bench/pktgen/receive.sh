#!/usr/bin/env bash
# Packets a second that arrive on an interface, with its drops and the load of
# softirqs by CPU: what to run on the node while pktgen.sh sends.
#
#   receive.sh -i INTERFACE [-s SECONDS]
#
# Packets that XDP drops count as received in most drivers, not in all: see also
# `ethtool -S INTERFACE | grep -i xdp`, and `fw-ctl status`.
set -euo pipefail

interface='' seconds=10
while getopts i:s: option; do
    case $option in
        i) interface=$OPTARG ;;
        s) seconds=$OPTARG ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
statistics=/sys/class/net/$interface/statistics
if [[ -z $interface || ! -d $statistics ]]; then
    echo "there is no interface \"$interface\"; try: receive.sh -i eth0" >&2
    exit 2
fi

# CPU: user nice system idle iowait irq softirq, in ticks.
softirqs() {
    awk '/^cpu[0-9]/ { total = 0; for (i = 2; i <= 9; i++) total += $i; print $1, $8, total }' /proc/stat
}

packets=$(<"$statistics/rx_packets")
dropped=$(<"$statistics/rx_dropped")
before=$(softirqs)
for ((second = 1; second <= seconds; second++)); do
    sleep 1
    now=$(<"$statistics/rx_packets")
    lost=$(<"$statistics/rx_dropped")
    echo "$second s: $((now - packets)) packets/s, $((lost - dropped)) dropped/s by the interface"
    packets=$now dropped=$lost
done
join <(echo "$before" | sort) <(softirqs | sort) |
    awk '$5 > $3 { printf "%s: %.0f %% of its time in softirqs\n", $1, 100 * ($4 - $2) / ($5 - $3) }'
