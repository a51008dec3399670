//! The unit of systemd, by systemd's own tools, without a systemd that runs.
//!
//! What it does on a machine that boots is tested in `sandbox/tests/service.rs`.

#![allow(clippy::print_stdout, reason = "it says why it is skipped")]

use std::path::PathBuf;
use std::process::{Command, Output};

const UNIT: &str = include_str!("../../packaging/systemd/fw-ctl.service");

/// Exposure is at most 2.5; the option takes tenths.
const THRESHOLD: &str = "--threshold=25";

/// What `systemd-analyze` says of the unit; `None` where it is not installed.
fn analyze(arguments: &[&str]) -> Option<Output> {
    let directory = tempfile::tempdir().expect("there is room");
    let unit: PathBuf = directory.path().join("fw-ctl.service");
    // Not installed here: verify would complain of that.
    let text = UNIT.replace("/usr/sbin/fw-ctl", env!("CARGO_BIN_EXE_fw-ctl"));
    std::fs::write(&unit, text).expect("there is room");
    let command = Command::new("systemd-analyze")
        .args(arguments)
        .arg(&unit)
        .env("SYSTEMD_COLORS", "0")
        .output();
    match command {
        Ok(output) => Some(output),
        Err(error) => {
            let required = std::env::var("FW_KERNEL_TESTS").as_deref() == Ok("require");
            assert!(!required, "systemd-analyze cannot be run: {error}");
            println!("skipped: systemd-analyze cannot be run: {error}");
            None
        }
    }
}

/// The values of a key, in order.
fn values(key: &str) -> Vec<&'static str> {
    UNIT.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn systemd_understands_every_line() {
    let Some(output) = analyze(&["verify", "--man=no"]) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // It also speaks of other units of this machine.
    let of_ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("fw-ctl"))
        .collect();
    assert_eq!(of_ours, [""; 0]);
}

#[test]
fn a_line_that_systemd_does_not_know_is_seen() {
    let directory = tempfile::tempdir().expect("there is room");
    let unit = directory.path().join("fw-ctl.service");
    let text = UNIT.replace("Type=notify\n", "Type=of-no-kind\n");
    assert_ne!(text, UNIT);
    std::fs::write(&unit, text).expect("there is room");
    let Ok(output) = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&unit)
        .output()
    else {
        // That it is missing is said by the others.
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("fw-ctl.service") && said.contains("of-no-kind"),
        "{said}"
    );
}

#[test]
fn its_exposure_is_small() {
    let arguments = ["security", "--offline=true", "--no-pager", THRESHOLD];
    let Some(output) = analyze(&arguments) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Overall exposure level"), "{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn it_has_three_capabilities_and_waits_for_no_other_systemd() {
    assert_eq!(
        values("CapabilityBoundingSet"),
        ["CAP_BPF CAP_NET_ADMIN CAP_PERFMON"]
    );
    assert_eq!(values("AmbientCapabilities"), [""; 0]);
    // systemd 252 would take notify-reload for simple.
    assert_eq!(values("Type"), ["notify"]);
    // These would make the BPF file system read-only, or hide the interfaces.
    for key in ["ProtectKernelTunables", "PrivateNetwork", "PrivateUsers"] {
        assert_eq!(values(key), [""; 0], "{key}");
    }
    // A deny list of @privileged takes bpf away: it must come back behind it.
    let last = Some(&"bpf perf_event_open");
    assert_eq!(values("SystemCallFilter").last(), last);
}

#[test]
fn the_network_waits_for_it_and_nobody_needs_it() {
    assert_eq!(values("DefaultDependencies"), ["no"]);
    assert_eq!(values("Before"), ["network-pre.target shutdown.target"]);
    assert_eq!(values("Wants"), ["network-pre.target"]);
    for key in ["RequiredBy", "Requires", "BindsTo"] {
        assert_eq!(values(key), [""; 0], "{key}");
    }
    assert_eq!(values("Restart"), ["always"]);
    assert_eq!(values("StartLimitIntervalSec"), ["0"]);
}

#[test]
fn its_group_is_made_where_it_is_installed() {
    let group = values("Group");
    let users = include_str!("../../packaging/systemd/sysusers.d/fw-ctl.conf");
    let made = users.lines().filter_map(|line| line.strip_prefix("g "));
    let made: Vec<_> = made.filter_map(|rest| rest.split(' ').next()).collect();
    assert_eq!(made, group);
}
