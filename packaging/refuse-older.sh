# Before this version replaces another: refuses if a newer one filters. This one cannot read
# what that one remembers (docs/upgrades.md), and would not start. Nothing has been changed yet.
refuse_older() {
    # As in configuration files; nobody expects it elsewhere.
    configured=$(sed -n 's/^[[:space:]]*pin_dir[[:space:]]*=[[:space:]]*"\(.*\)".*/\1/p' \
        /etc/fw-ctl/fw-ctl.toml /etc/fw-ctl/conf.d/*.toml 2>/dev/null || :)
    for pins in /sys/fs/bpf/fw-ctl $configured; do
        for links in "$pins"/v*/links; do
            layout=${links%/links}
            layout=${layout##*/v}
            # Only directories that are called by a number, and hold something.
            case $layout in '' | *[!0-9]*) continue ;; esac
            [ "$layout" -gt @LAYOUT@ ] && [ -n "$(ls -A "$links" 2>/dev/null)" ] || continue
            echo "fw-ctl: a newer version filters this node (its tables have layout $layout, this version's" >&2
            echo "  have @LAYOUT@): this version could not take over, and nothing was changed" >&2
            echo "  try: keep the newer version; or \`fw-ctl detach\`, which opens the node, and install again" >&2
            return 1
        done
    done
}
