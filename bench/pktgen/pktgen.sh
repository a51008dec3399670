#!/usr/bin/env bash
# Sends UDP packets with the kernel's pktgen, on a machine beside the node.
#
#   pktgen.sh -i INTERFACE -m MAC -d ADDRESS [-p closed|single|flows]
#             [-t THREADS] [-s SECONDS] [-l BYTES]
#
# MAC and ADDRESS are the node's (IPv4). It stops after SECONDS (at most 60), on
# Ctrl-C, and when it ends for whatever reason, and prints what each thread sent.
# Field names: Documentation/networking/pktgen.rst of Linux.
set -euo pipefail

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

interface='' mac='' address='' pattern=closed threads=1 seconds=10 length=60
while getopts i:m:d:p:t:s:l: option; do
    case $option in
        i) interface=$OPTARG ;;
        m) mac=$OPTARG ;;
        d) address=$OPTARG ;;
        p) pattern=$OPTARG ;;
        t) threads=$OPTARG ;;
        s) seconds=$OPTARG ;;
        l) length=$OPTARG ;;
        *) usage ;;
    esac
done
[[ $interface && $mac && $address ]] || usage
[[ $threads =~ ^[0-9]+$ && $seconds =~ ^[0-9]+$ && $length =~ ^[0-9]+$ ]] || usage
if ((seconds < 1 || seconds > 60)); then
    echo "-s $seconds: between 1 and 60 seconds" >&2
    exit 2
fi
if [[ $(id -u) -ne 0 ]]; then
    echo "pktgen needs root" >&2
    exit 1
fi
[[ -d /sys/class/net/$interface ]] || { echo "there is no interface $interface" >&2; exit 1; }
modprobe pktgen 2>/dev/null || true
if [[ ! -d /proc/net/pktgen ]]; then
    echo "this kernel has no pktgen (CONFIG_NET_PKTGEN)" >&2
    exit 1
fi

# One command to a file of pktgen; it answers in the file's "Result:" line.
say() {
    local file=/proc/net/pktgen/$1
    shift
    echo "$*" >"$file"
    if [[ $file != */pgctrl ]] && ! grep -q '^Result: OK' "$file"; then
        echo "pktgen refuses \"$*\": $(grep '^Result:' "$file")" >&2
        exit 1
    fi
}

running=
finish() {
    if [[ $running ]]; then
        echo stop >/proc/net/pktgen/pgctrl || true
        wait "$running" || true
    fi
    for ((cpu = 0; cpu < threads; cpu++)); do
        [[ -e /proc/net/pktgen/$interface@$cpu ]] || continue
        echo "thread $cpu: $(grep -A1 '^Result:' "/proc/net/pktgen/$interface@$cpu" | tr '\n' ' ')"
        echo rem_device_all >"/proc/net/pktgen/kpktgend_$cpu" || true
    done
}
trap finish EXIT
trap 'exit 130' INT TERM

for ((cpu = 0; cpu < threads; cpu++)); do
    device=$interface@$cpu
    say "kpktgend_$cpu" rem_device_all
    say "kpktgend_$cpu" add_device "$device"
    say "$device" count 0
    say "$device" clone_skb 0
    say "$device" pkt_size "$length"
    say "$device" delay 0
    say "$device" flag QUEUE_MAP_CPU
    say "$device" dst_mac "$mac"
    say "$device" dst_min "$address"
    say "$device" dst_max "$address"
    say "$device" udp_src_min 32768
    say "$device" udp_src_max 60999
    case $pattern in
        closed)
            # A block of half a billion unicast addresses, as the own generator's.
            say "$device" src_min 32.0.0.1
            say "$device" src_max 63.255.255.254
            say "$device" flag IPSRC_RND
            say "$device" flag UDPSRC_RND
            say "$device" udp_dst_min 10300
            say "$device" udp_dst_max 40299
            say "$device" flag UDPDST_RND
            ;;
        single)
            say "$device" src_min 32.0.0.1
            say "$device" src_max 32.0.0.1
            say "$device" udp_src_max 32768
            say "$device" udp_dst_min 9000
            say "$device" udp_dst_max 9000
            ;;
        flows)
            say "$device" src_min 32.0.0.1
            say "$device" src_max 63.255.255.254
            say "$device" flag IPSRC_RND
            say "$device" flag UDPSRC_RND
            say "$device" flows 10000
            say "$device" flowlen 1
            say "$device" udp_dst_min 9000
            say "$device" udp_dst_max 9000
            ;;
        *) usage ;;
    esac
done

# "start" returns when sending ends.
echo start >/proc/net/pktgen/pgctrl &
running=$!
sleep "$seconds"
