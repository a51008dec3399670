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

#[path = "service/evidence.rs"]
mod evidence;
#[path = "service/rows.rs"]
mod rows;
#[path = "service/table.rs"]
mod table;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sandbox::guest::{Debian, Disk, Guest, Kernel, Output, or_skip};

use evidence::{Boot, Nic};
use rows::{Rows, State};
use table::Table;

/// Which release of Debian, where it is not this machine's.
const SELECTION: &str = "FW_DEBIAN";
/// Releases with the kernel that they come with.
const RELEASES: [(&str, &str); 2] = [("bookworm", "6.1"), ("trixie", "6.12")];
/// For one boot: some six times what it takes, because other programs may run beside it.
const LIMIT: Duration = Duration::from_mins(25);
/// `CAP_NET_ADMIN`, `CAP_PERFMON` and `CAP_BPF` (`linux/capability.h`: 12, 38, 39).
const CAPABILITIES: &str = "000000c000001000";

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The releases of Debian to boot, each with its kernel.
fn releases() -> Vec<(String, &'static str)> {
    let own = || {
        let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let mut lines = text.lines();
        let name = lines.find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let known = |name: &&str| RELEASES.iter().any(|(release, _)| release == name);
        name.filter(known).unwrap_or(RELEASES[0].0).to_owned()
    };
    let names = std::env::var(SELECTION).unwrap_or_else(|_| own());
    let with_kernel = |name: &str| {
        let known = RELEASES.iter().find(|(release, _)| *release == name);
        let (_, series) = known.unwrap_or_else(|| panic!("{SELECTION} names {name}: unknown"));
        (name.to_owned(), *series)
    };
    names.split_whitespace().map(with_kernel).collect()
}

/// Boots the disk, with a script of `service/`.
fn boot(kernel: &Kernel, disk: &Disk, fw_ctl: &Path, script: &str) -> Boot {
    let began = Instant::now();
    let mut guest = Guest::new(kernel)
        .disk(disk)
        .nics(4)
        // For a mount that is made when somebody looks; and, before there was tcx (6.6), for
        // what leaves.
        .module("autofs4")
        .module("sch_ingress")
        .module("cls_bpf")
        // What tells who listens: the kernel fetches it by itself where there are modules.
        .module("tcp_diag")
        .module("udp_diag")
        .program(fw_ctl)
        .program(env!("CARGO_BIN_EXE_traffic"))
        .file(here("../packaging/systemd"), "/run/guest/packaging")
        .file(here("tests/service/units"), "/run/systemd/system")
        .file(here("tests/service/network"), "/run/systemd/network");
    for file in ["node", "steps.sh", "outside.sh"] {
        let from = here("tests/service").join(file);
        guest = guest.file(from, Path::new("/run/guest").join(file));
    }
    let script = fs::read_to_string(here(&format!("tests/service/{script}.sh"))).unwrap();
    let output: Output = guest.run(&script, LIMIT).unwrap();
    assert_eq!(output.status, 0, "{}", output.console);
    eprintln!("a boot of {} s", began.elapsed().as_secs());
    Boot::of(output)
}

#[test]
fn the_service_holds_in_guests_that_boot() {
    let Some(fw_ctl) = sandbox::binary(&here("../target")) else {
        return;
    };
    for (release, series) in releases() {
        let Some(debian) = or_skip(Debian::named(&release)) else {
            return;
        };
        let Some(kernel) = or_skip(Kernel::of_series(series)) else {
            return;
        };
        let disk = debian.disk().unwrap();
        let mut table = Table::default();
        eprintln!("Debian {release}, Linux {}", kernel.release());
        let mut boot = |script: &str, expect: fn(&mut Rows<'_>)| {
            let boot = boot(&kernel, &disk, &fw_ctl, script);
            let before = table.bad();
            let table = &mut table;
            expect(&mut Rows { boot: &boot, table });
            if table.bad() > before || std::env::var_os("FW_GUEST_JOURNAL").is_some() {
                let journal = boot.text("end.journal");
                let of_daemon = journal.lines().filter(|line| line.contains("fw-ctl"));
                of_daemon.for_each(|line| eprintln!("{line}"));
            }
        };
        boot("first", installed);
        boot("second", unreachable);
        if std::env::var("FW_GUEST_EFFORT").is_ok_and(|effort| effort != "1") {
            boot("third", broken);
        }
        table.close();
    }
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
    conversed(rows);
}

/// A connection that the node has had since it was filtered.
fn conversed(rows: &mut Rows<'_>) {
    let talk = rows.boot.text("talk");
    let words = talk.lines().count();
    rows.row(
        "a connection of the node since it is filtered",
        "never cut",
        &format!("{words} words, all came back"),
        words > 100 && !talk.contains("cut"),
    );
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
    let security = rows.boot.text("filtered.security");
    let (_, level) = security.rsplit_once(": ").unwrap();
    let number: f64 = level.split(' ').next().unwrap().parse().unwrap();
    rows.row(
        "systemd-analyze security",
        "at most 2.5",
        level,
        number <= 2.5,
    );
}

/// The plan was in force before anybody brought the network up, and from the first packet on.
fn filtered_from_the_beginning(rows: &mut Rows<'_>, which: &str) {
    let boot = rows.boot;
    let began = boot.moment("booted.show", "ExecMainStart");
    let ready = boot.moment("booted.show", "ActiveEnter");
    let target = boot.moment("booted.before-network", "ActiveEnter");
    let network = boot.moment("booted.network", "ExecMainStart");
    let packet = boot.first(Nic::First);
    rows.row(
        &format!("reboot, {which}: order"),
        "READY, network-pre.target, networkd, first packet",
        &format!(
            "{ready:.2} s ({:.1} s after its start), {target:.2}, {network:.2}, {packet:.2}",
            ready - began
        ),
        0.0 < ready && ready <= target && target <= network && network < packet,
    );
    rows.judged_all(&format!("reboot, {which}"));
}

fn unreachable(rows: &mut Rows<'_>) {
    use Nic::{First, Late};
    use State::Filtered;
    filtered_from_the_beginning(rows, "policies gone, inventory unreachable");
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
    filtered_from_the_beginning(rows, "policies and configuration broken");
    rows.told("booted", "active", "degraded: /etc/fw-ctl/fw-ctl.toml");
    rows.judged("booted", None, First, Filtered);
    rows.fails("booted.status", "fw-ctl status");
    rows.succeeds("mended.reload", "systemctl reload, all mended");
    rows.told("mended", "active", "mode enforce, 1 interfaces filtered");
    rows.succeeds("mended.status", "fw-ctl status");
    rows.says("systemctl is-system-running", "mended.system", "running");
    rows.judged("mended", None, First, Filtered);
}
