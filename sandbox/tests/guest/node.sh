# In the guest: eth0 is the node's, eth1 the client's. Writes to /out what the test reads.
# The shell would take busybox's ip, which knows no namespaces.
set -e
ip() {
    /bin/ip "$@"
}

ip netns add client
ip link set eth1 netns client
ip addr add 10.0.0.10/24 dev eth0
ip link set eth0 up
ip -n client addr add 10.0.0.9/24 dev eth1
ip -n client link set eth1 up

nc -ll -p 80 -e echo answer &
nc -ll -p 81 -e echo answer &
fw-ctl daemon --config /etc/fw-ctl/fw-ctl.toml >/out/daemon.log 2>&1 &
daemon=$!
for _ in $(seq 600); do
    fw-ctl status >/dev/null 2>&1 && break
    # It says why on the console; the end of the script is the end of the test.
    kill -0 $daemon || { cat /out/daemon.log; exit 1; }
    sleep 0.1
done
fw-ctl status -o json >/out/status.json || { cat /out/daemon.log; exit 1; }

# Asks a port of the node; keeps the answer, and what the client's kernel sent for it.
ask() {
    ip netns exec client cat /proc/net/snmp >"/out/$2.before"
    ip netns exec client nc -w 2 10.0.0.10 "$1" </dev/null >"/out/$2.answer" || true
    sleep 0.3
    ip netns exec client cat /proc/net/snmp >"/out/$2.after"
    fw-ctl rules -o json >"/out/$2.rules"
}
ask 80 allowed
ask 81 denied
fw-ctl mode audit
ask 81 audited
fw-ctl doctor -o json >/out/doctor.json || [ $? -eq 1 ]
fw-ctl doctor --plan -o json >/out/plan.json || [ $? -eq 1 ]
cat /proc/sys/kernel/osrelease >/out/release
