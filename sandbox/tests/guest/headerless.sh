# In the guest: eth0 is the node's, eth1 the client's, and tunnels between the two are what
# is filtered. Writes to /out what the test reads.
# The shell would take busybox's ip, which knows no namespaces.
set -e
ip() {
    /bin/ip "$@"
}

ip netns add client
ip link set eth1 netns client
# Beside each other: the namespace of an end of a tunnel, its own address, the other one's.
ends() {
    "$@" "" 10 9
    "$@" "-n client" 9 10
}
wire() {
    case $2 in 10) device=eth0 ;; *) device=eth1 ;; esac
    ip $1 addr add 10.0.0.$2/24 dev $device
    ip $1 addr add fd00::$2/64 dev $device nodad
    ip $1 link set $device up
}
ends wire

# tunnel NAME ADDRESSES ARGUMENTS...: HERE and THERE are the last parts of the addresses.
tunnel() {
    name=$1 inside=$2
    shift 2
    more=$(echo "$@" | sed "s/THERE/$there/g; s/HERE/$here/g")
    ip $namespace link add "$name" type $more
    ip $namespace addr add "$inside$here/${length:-24}" dev "$name" ${length:+nodad}
    ip $namespace link set "$name" up
}
tunnels() {
    namespace=$1 here=$2 there=$3
    tunnel tipip 10.1.0. ipip local 10.0.0.HERE remote 10.0.0.THERE
    tunnel tgre 10.2.0. gre local 10.0.0.HERE remote 10.0.0.THERE
    # To whom is known of each neighbour only: the outer header is made before any program.
    tunnel tnbma 10.3.0. gre local 10.0.0.HERE key 7
    ip $namespace neigh add 10.3.0.$there lladdr 10.0.0.$there dev tnbma nud permanent
    tunnel tip6 10.4.0. ip6tnl mode ipip6 encaplimit none local fd00::HERE remote fd00::THERE
    length=64
    tunnel tsit fd05:: sit local 10.0.0.HERE remote 10.0.0.THERE
    length=
}
ends tunnels

for port in 80 81; do
    nc -ll -p $port -e echo answer &
    ip netns exec client nc -ll -p $port -e echo answer &
done
fw-ctl daemon --config /etc/fw-ctl/fw-ctl.toml >/out/daemon.log 2>&1 &
daemon=$!
for _ in $(seq 600); do
    fw-ctl status >/dev/null 2>&1 && break
    # It says why on the console; the end of the script is the end of the test.
    kill -0 $daemon || { cat /out/daemon.log; exit 1; }
    sleep 0.1
done
fw-ctl status -o json >/out/status.json || { fw-ctl status; cat /out/daemon.log; exit 1; }

# ask NAME WHERE ADDRESS PORT: keeps the answer, and what the kernel of who asks sent.
ask() {
    $2 cat /proc/net/snmp >"/out/$1.before"
    $2 nc -w 2 "$3" "$4" </dev/null >"/out/$1.answer" || true
    sleep 0.3
    $2 cat /proc/net/snmp >"/out/$1.after"
    fw-ctl rules -o json >"/out/$1.rules"
}
client="ip netns exec client"
fw-ctl rules -o json >/out/start.rules
for name in tipip:10.1.0. tgre:10.2.0. tnbma:10.3.0. tip6:10.4.0. tsit:fd05::; do
    inside=${name#*:} name=${name%%:*}
    for port in 80 81; do
        ask "$name.ingress.$port" "$client" "${inside}10" $port
        ask "$name.egress.$port" "" "${inside}9" $port
    done
done
