//! The package in a Debian that boots: installed, enforcing, upgraded, broken, replaced by an older
//! and a newer version, killed, rebooted, removed, installed again and purged; judged by packets
//! from outside, which do not stop meanwhile.
//!
//! `make test-packages` makes the packages and runs this. What happens is in `packages/*.sh`; what
//! came of it is compared here, in a table.
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::boot::{Expect, here, on_each_release};
use crate::evidence::Nic::First;
use crate::rows::Rows;
use crate::rows::State::{Filtered, Open};

/// Directory of the packages: `previous.deb`, `current.deb` and `patched.deb` with the same
/// layout of tables, `newer.deb` with the next one.
const PACKAGES: &str = "FW_PACKAGES";
/// Their versions, as scripts/test-packages.sh calls them.
const CURRENT: &str = env!("CARGO_PKG_VERSION");
const NEWER: &str = "9.0.0";
/// `KiB` that the daemon may keep in memory without a policy.
const RESIDENT: u64 = 40 * 1024;

/// Where they are.
fn packages() -> PathBuf {
    let packages = std::env::var_os(PACKAGES).map(PathBuf::from);
    packages.unwrap_or_else(|| panic!("{PACKAGES} is not set; try: make test-packages"))
}

#[test]
fn the_package_holds_in_guests_that_boot() {
    let packages = packages();
    let scripts: [(&str, Expect); 2] = [("packages/first", first), ("packages/second", second)];
    on_each_release(&scripts, |guest| {
        guest.file(&packages, "/run/guest/packages")
    });
}

/// What the quick start, operations and recovery tell to type, typed.
#[test]
fn documents_can_be_typed_in_guests_that_boot() {
    let packages = packages();
    let scripts: [(&str, Expect); 1] = [("packages/walk", walk)];
    on_each_release(&scripts, |guest| {
        guest
            .file(&packages, "/run/guest/packages")
            .file(here("../docs/quickstart.md"), "/run/guest/quickstart.md")
    });
}

fn walk(rows: &mut Rows<'_>) {
    rows.judged("open", None, First, Open);
    typed(rows, "quickstart", 10);
    rows.succeeds("quickstart.same", "the package holds the same document");
    rows.told("enforced", "active", "mode enforce, 1 interfaces filtered");
    rows.judged("enforced", None, First, Filtered);
    typed(rows, "operations", 15);
    rows.told("operated", "active", "mode enforce, 1 interfaces filtered");
    rows.judged("operated", None, First, Filtered);
    typed(rows, "recovery", 12);
    rows.told("recovered", "active", "mode enforce, 1 interfaces filtered");
    rows.judged("recovered", None, First, Filtered);
}

/// Commands that were typed in a step: so many, and each succeeds.
fn typed(rows: &mut Rows<'_>, step: &str, expected: usize) {
    let count: usize = rows.boot.text(&format!("{step}.count")).parse().unwrap();
    for number in 1..=count {
        let name = format!("{step}.{number:02}");
        let command = rows.boot.text(&format!("{name}.command"));
        rows.succeeds(&name, &format!("{step}: {command}"));
        if rows.boot.status(&name) != 0 {
            eprintln!("{}", rows.boot.text(&name));
        }
    }
    let (expected, seen) = (expected.to_string(), count.to_string());
    let is_so = seen == expected;
    rows.row(&format!("{step}: commands"), &expected, &seen, is_so);
}

fn first(rows: &mut Rows<'_>) {
    rows.judged("open", None, First, Open);
    installed(rows);

    rows.succeeds("enforced.validate", "policy validate");
    rows.succeeds("enforced.reload", "systemctl reload, a policy");
    rows.succeeds("enforced.mode", "fw-ctl mode enforce");
    rows.told("enforced", "active", "mode enforce, 1 interfaces filtered");
    rows.judged("enforced", Some("mode"), First, Filtered);

    rows.succeeds("upgraded.install", "upgrade, under traffic");
    rows.told("upgraded", "active", "mode enforce, 1 interfaces filtered");
    rows.says(
        "upgraded: version",
        "upgraded.version",
        &is_installed(CURRENT),
    );
    rows.succeeds("upgraded.edited", "the edited configuration stays");
    rows.succeeds("upgraded.status", "fw-ctl status");
    rows.judged("upgraded", None, First, Filtered);

    rows.succeeds("broken.install", "upgrade with a broken configuration");
    rows.told("broken", "active", "degraded: /etc/fw-ctl/fw-ctl.toml");
    rows.fails("broken.status", "fw-ctl status");
    rows.judged("broken", None, First, Filtered);
    rows.succeeds("broken.reload", "systemctl reload, mended");
    rows.succeeds("broken.mended", "fw-ctl status");

    rows.succeeds("older.install", "back to a version with the same tables");
    rows.says("older: version", "older.version", &is_installed(CURRENT));
    rows.succeeds("older.status", "fw-ctl status");
    rows.judged("older", None, First, Filtered);

    rows.succeeds("newer.install", "a version with other tables");
    rows.says("newer: version", "newer.version", &is_installed(NEWER));
    rows.succeeds("newer.status", "fw-ctl status");
    rows.judged("newer", None, First, Filtered);

    rows.fails("refused.install", "back from there");
    rows.says(
        "refused: why",
        "refused.install",
        "a newer version filters this node",
    );
    rows.says("refused: what to do", "refused.install", "try: ");
    rows.says("refused: version", "refused.version", &is_installed(NEWER));
    rows.succeeds("refused.running", "the daemon");
    rows.succeeds("refused.status", "fw-ctl status");
    rows.judged("refused", None, First, Filtered);

    rows.judged("killed", None, First, Filtered);
    agree(rows);
    rows.conversed();
}

/// Nothing is cut by installing.
fn installed(rows: &mut Rows<'_>) {
    rows.succeeds("installed.install", "dpkg -i");
    rows.says("installed: says", "installed.install", "audit mode");
    rows.told("installed", "active", "mode audit");
    rows.judged("installed", None, First, Open);
    rows.says(
        "installed: systemctl is-enabled",
        "installed.enabled",
        "enabled",
    );
    rows.says("installed: fw-ctl mode", "installed.mode", "audit");
    rows.succeeds("installed.group", "the group fw-ctl");
    rows.succeeds("installed.man", "man pages");
    rows.fails("installed.linked", "the binary wants shared objects");
    let process = rows.boot.text("installed.memory");
    let mut lines = process.lines();
    let resident = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    rows.row(
        "installed: memory of the daemon",
        &format!("less than {RESIDENT} KiB"),
        &format!("{kib} KiB"),
        kib < RESIDENT,
    );
    rows.secure("installed.security");
}

/// What is attached, by the kernel's own tool and by ours.
fn agree(rows: &mut Rows<'_>) {
    let read = |name: &str| -> Value { serde_json::from_str(&rows.boot.text(name)).unwrap() };
    let (kernel, status) = (read("agree.bpftool"), read("agree.status"));
    let mut attached = BTreeSet::new();
    for hooks in kernel.as_array().unwrap() {
        for (hook, programs) in hooks.as_object().unwrap() {
            for program in programs.as_array().unwrap() {
                let ids = ["id", "prog_id"].map(|key| program[key].as_u64());
                let id = ids.into_iter().flatten().next();
                attached.insert((hook.as_str(), id));
            }
        }
    }
    let ours = programs(&status);
    let ids: BTreeSet<_> = attached.iter().filter_map(|(_, id)| *id).collect();
    rows.row(
        "bpftool and fw-ctl status: programs on eth0",
        &format!("{ours:?}"),
        &format!("{ids:?}"),
        !ids.is_empty() && ids == ours,
    );
    rows.says(
        "ss: metrics listen on loopback",
        "agree.ss",
        "127.0.0.1:9962",
    );
}

/// Ids of the programs that `fw-ctl status` tells of.
fn programs(status: &Value) -> BTreeSet<u64> {
    let programs = status["datapath"]["programs"].as_array().unwrap();
    let ids = programs.iter().map(|program| program["id"].as_u64());
    ids.flatten().collect()
}

/// What dpkg says of a version.
fn is_installed(version: &str) -> String {
    format!("{version} install ok installed")
}

fn second(rows: &mut Rows<'_>) {
    rows.filtered_from_the_beginning("the package as it is", "booted");
    rows.told("booted", "active", "mode enforce, 1 interfaces filtered");
    rows.succeeds("booted.status", "fw-ctl status");

    rows.succeeds("removed.remove", "dpkg -r");
    rows.says("removed: says", "removed.remove", "this node is open");
    rows.judged("removed", Some("remove"), First, Open);
    rows.succeeds("removed.policies", "policies stay");
    rows.succeeds("removed.config", "configuration stays");
    rows.fails("removed.pins", "no link is left in the kernel");

    rows.succeeds("again.install", "dpkg -i");
    rows.says("again: systemctl is-enabled", "again.enabled", "enabled");
    rows.judged("again", Some("install"), First, Filtered);

    rows.succeeds("purged.purge", "dpkg -P");
    rows.judged("purged", Some("purge"), First, Open);
    for (name, what) in [
        ("purged.config", "configuration"),
        ("purged.state", "state"),
        ("purged.pins", "pins"),
        ("purged.unit", "the unit"),
    ] {
        rows.fails(name, &format!("purged: {what} is gone"));
    }
}
