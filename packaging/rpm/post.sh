# The group whose members may ask the daemon.
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers fw-ctl.conf || :
fi
if command -v systemctl >/dev/null; then
    # Enabled on the first installation; afterwards as the administrator wants it.
    if [ "$1" -eq 1 ]; then
        systemctl --no-reload enable fw-ctl.service >/dev/null 2>&1 || :
    fi
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload >/dev/null 2>&1 || :
        if [ "$1" -eq 1 ]; then
            if systemctl start fw-ctl.service; then
                echo "fw-ctl runs in audit mode: it reports what policies would drop, and drops nothing."
                echo "  next: fw-ctl init --profile PROFILE; fw-ctl status; man fw-ctl"
            else
                echo "fw-ctl: the daemon did not start" >&2
                echo "  try: systemctl status fw-ctl; journalctl -u fw-ctl" >&2
            fi
        fi
    fi
fi
