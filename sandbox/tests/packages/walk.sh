# The commands of documents, typed as they are written there.
. /run/guest/steps.sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

record_packages
be_patient
# What is read is what the package holds; before that, the same from beside it.
cd /run/guest/packages

# Every line of every block that is marked as sh.
commands() { sed -n '/^```sh$/,/^```$/{/^```/d;p}' "$1"; }

# Types one, and keeps it with what it says.
type_it() {
    count=$((count + 1))
    echo $count >"$out/$step.count"
    number=$(printf '%02d' $count)
    echo "$1" >"$out/$step.$number.command"
    keep "$number" sh -c "$1"
}

step open
until_ok has_address eth0
sleep 1
ask

step quickstart
count=0
commands /run/guest/quickstart.md >/run/guest/commands
while read -r line <&3; do
    type_it "$line"
    case $line in
    *'fw-ctl init'*)
        # Make them yours: what this host serves, and to whom.
        cp $node/peers.netset /etc/fw-ctl/inventory/
        cp $node/policies/node.yaml /etc/fw-ctl/policies/
        ;;
    dpkg*) until_ok says 'mode audit' ;;
    esac
done 3</run/guest/commands
keep same cmp /run/guest/quickstart.md /usr/share/doc/fw-ctl/quickstart.md

step enforced
show
ask

step operations
count=0
commands /usr/share/doc/fw-ctl/operations.md >/run/guest/commands
while read -r line <&3; do type_it "$line"; done 3</run/guest/commands

step operated
show
ask

# The node's own root stands for the one that a rescue system has mounted.
mkdir -p /mnt
mount --bind / /mnt
step recovery
count=0
commands /usr/share/doc/fw-ctl/recovery.md >/run/guest/commands
while read -r line <&3; do
    type_it "$line"
    case $line in
    'fw-ctl mode audit') ask ;;
    'fw-ctl detach') until_ok says 'detached' ;;
    *restart*) until_ok says 'mode enforce' ;;
    esac
done 3</run/guest/commands
umount /mnt

step recovered
show
ask

step end
keep journal journalctl -b -o short-monotonic -u fw-ctl
