set -e
ip netns add outside
for nic in eth1 eth3; do ip link set $nic netns outside; done
ip -n outside address add 192.0.2.2/24 dev eth1
ip -n outside address add 198.51.100.2/24 dev eth3
for nic in lo eth1 eth3; do ip -n outside link set $nic up; done
# Nothing is lost where this machine stands still for some seconds: whom a node has been at is not
# forgotten because it does not answer at once.
ip netns exec outside sh -c 'echo 60 >/proc/sys/net/ipv4/neigh/eth1/ucast_solicit'
# The second interface of the node comes later, under whatever name is free then.
basename "$(readlink /sys/class/net/eth2/device)" >/run/guest/eth2
cat /run/guest/eth2 >/sys/bus/virtio/drivers/virtio_net/unbind
