# The last version goes; an upgrade stops nothing.
if [ "$1" -eq 0 ]; then
    if command -v systemctl >/dev/null; then
        systemctl --no-reload disable fw-ctl.service >/dev/null 2>&1 || :
        [ ! -d /run/systemd/system ] || systemctl stop fw-ctl.service >/dev/null 2>&1 || :
    fi
    # As long as there is a program that can: else the node would stay filtered, and nobody
    # could change it.
    # Where nothing is pinned, nothing filters.
    if said=$(/usr/sbin/fw-ctl detach 2>&1) || [ "${said#*no pins in}" != "$said" ]; then
        echo "fw-ctl is removed: the filter is off, this node is open."
        echo "  State is left in /var/lib/fw-ctl, configuration and policies in /etc/fw-ctl."
    else
        echo "$said" >&2
        echo "fw-ctl: the filter could not be taken off and stays in the kernel until the next boot" >&2
    fi
fi
