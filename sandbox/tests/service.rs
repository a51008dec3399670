//! The service in a Debian that boots: installed, enabled, rebooted, killed, reloaded,
//! stopped; judged by packets from outside, which do not stop meanwhile.
//!
//! Two boots of one disk, three if `FW_GUEST_EFFORT` is more than 1. What happens in them is in
//! `service/*.sh`; what came of it is compared here, in a table. `FW_DEBIAN` names other releases
//! than this machine's; with `FW_GUEST_JOURNAL` what the daemon said is printed always.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "service/boot.rs"]
mod boot;
#[path = "service/evidence.rs"]
mod evidence;
#[cfg(feature = "packages")]
#[path = "service/packages.rs"]
mod packages;
#[path = "service/rows.rs"]
mod rows;
#[path = "service/table.rs"]
mod table;

use boot::{Expect, here, on_each_release};
use evidence::Nic;
use rows::{Rows, State};

/// `CAP_NET_ADMIN`, `CAP_PERFMON` and `CAP_BPF` (`linux/capability.h`: 12, 38, 39).
const CAPABILITIES: &str = "000000c000001000";

#[test]
fn the_service_holds_in_guests_that_boot() {
    let Some(fw_ctl) = sandbox::binary(&here("../target")) else {
        return;
    };
    let mut scripts: Vec<(&str, Expect)> = vec![
        ("service/first", installed),
        ("service/second", unreachable),
    ];
    if std::env::var("FW_GUEST_EFFORT").is_ok_and(|effort| effort != "1") {
        scripts.push(("service/third", broken));
    }
    on_each_release(&scripts, |guest| {
        guest
            .program(&fw_ctl)
            .file(here("../packaging/systemd"), "/run/guest/packaging")
    });
}

fn installed(rows: &mut Rows<'_>) {
    use Nic::First;
    use State::{Filtered, Open};
    rows.judged("open", None, First, Open);

    rows.succeeds(
        "broken.enable",
        "systemctl enable --now, with broken policies",
    );
    rows.told("broken", "active", "degraded");
    rows.judged("broken", Some("enable"), First, Open);

    rows.succeeds("filtered.reload", "systemctl reload, policies mended");
    rows.told("filtered", "active", "mode enforce, 1 interfaces filtered");
    rows.judged("filtered", Some("reload"), First, Filtered);
    confined(rows);

    rows.succeeds("good.reload", "systemctl reload, one policy more");
    rows.judged("good", None, First, Filtered);
    rows.fails("bad.reload", "systemctl reload, one policy broken");
    rows.told(
        "bad",
        "active",
        "degraded: /etc/fw-ctl/policies/same.yaml:1:7",
    );
    rows.judged("bad", None, First, Filtered);

    rows.restarted("killed", 4);
    rows.judged("killed", None, First, Filtered);
    rows.succeeds("oom.killed", "killed by the kernel for its memory");
    rows.judged("oom", None, First, Filtered);
    rows.succeeds("oom.back", "back by itself");

    rows.succeeds("detached.detach", "fw-ctl detach");
    rows.says(
        "detached: fw-ctl",
        "detached.detach",
        "not filtered any more: eth0",
    );
    rows.told("detached", "active", "detached: nothing is filtered");
    rows.fails("detached.status", "detached: fw-ctl status");
    rows.judged("detached", Some("detach"), First, Open);
    rows.succeeds("closed.reload", "systemctl reload closes it again");
    rows.judged("closed", Some("reload"), First, Filtered);

    rows.succeeds("stopped.stop", "systemctl stop");
    rows.told("stopped", "inactive", "the node stays filtered");
    rows.judged("stopped", None, First, Filtered);
    rows.conversed();
}

/// What the process may do.
fn confined(rows: &mut Rows<'_>) {
    let process = rows.boot.text("filtered.process");
    let expected = format!("{CAPABILITIES} (BPF, NET_ADMIN, PERFMON)");
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        let mut lines = process.lines().filter_map(|line| line.split_once(":\t"));
        let set = lines.find(|(key, _)| *key == name).map(|(_, set)| set);
        let seen = set.unwrap_or_default();
        rows.row(name, &expected, seen, seen == CAPABILITIES);
    }
    rows.says(
        "a failsafe for the running sshd",
        "filtered.ssh",
        "answered",
    );
    rows.says(
        "control socket",
        "filtered.socket",
        "srw-rw---- root fw-ctl",
    );
    rows.succeeds("filtered.verify", "systemd-analyze verify");
    rows.secure("filtered.security");
}

fn unreachable(rows: &mut Rows<'_>) {
    use Nic::{First, Late};
    use State::Filtered;
    rows.filtered_from_the_beginning("policies gone, inventory unreachable", "end");
    rows.told("booted", "active", "filtered by what was accepted last");
    rows.judged("booted", None, First, Filtered);
    rows.fails("booted.status", "fw-ctl status");
    let mount = rows.boot.text("booted.inventory").replace('\n', " ");
    let waits = mount.contains("running") && mount.contains("dead");
    rows.row(
        "the mount of the inventory",
        "waited for, in vain",
        &mount,
        waits,
    );

    rows.succeeds("appeared.filtered", "an interface appears");
    rows.succeeds("appeared.known", "it gets an address");
    rows.judged_soon("appeared", Late);
    rows.judged("appeared", Some("known"), Late, Filtered);

    rows.judged("hanging", None, First, Filtered);
    rows.succeeds("hanging.back", "the daemon hangs, and is replaced");
    rows.says(
        "hanging: why it was ended",
        "missed.why",
        "Watchdog timeout",
    );
    rows.succeeds("hanging.filtered", "an interface had appeared meanwhile");
    rows.judged("missed", None, Late, Filtered);
    rows.told("missed", "active", "mode enforce, 2 interfaces filtered");

    rows.succeeds("down.stop", "systemctl stop, while a read hangs");
    rows.judged("down", None, First, Filtered);
}

fn broken(rows: &mut Rows<'_>) {
    use Nic::First;
    use State::Filtered;
    rows.filtered_from_the_beginning("policies and configuration broken", "end");
    rows.told("booted", "active", "degraded: /etc/fw-ctl/fw-ctl.toml");
    rows.judged("booted", None, First, Filtered);
    rows.fails("booted.status", "fw-ctl status");
    rows.succeeds("mended.reload", "systemctl reload, all mended");
    rows.told("mended", "active", "mode enforce, 1 interfaces filtered");
    rows.succeeds("mended.status", "fw-ctl status");
    rows.says("systemctl is-system-running", "mended.system", "running");
    rows.judged("mended", None, First, Filtered);
}
