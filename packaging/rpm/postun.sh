# The daemon is exchanged, the filter is not: what is pinned in the kernel goes on judging
# until the new daemon takes it over.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart fw-ctl.service >/dev/null 2>&1 || {
            echo "fw-ctl: the daemon did not start; what filtered before still filters" >&2
            echo "  try: systemctl status fw-ctl; journalctl -u fw-ctl" >&2
        }
    fi
fi
