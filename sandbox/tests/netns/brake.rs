//! The ways out of distress: they work without a daemon, and while it is busy.

use std::fmt::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use sandbox::Family;
use sandbox::probe::{self, Outcome};

use crate::fixture::{Fixture, INGRESS_NOTHING};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    audit_works_without_a_daemon,
    audit_works_where_nothing_can_be_stored,
    audit_works_while_the_daemon_hangs,
    a_busy_daemon_brakes_and_ends,
);

fn ssh(fixture: &Fixture) -> Outcome {
    let node = fixture.lab.node.socket(Family::V4, 22);
    probe::tcp(&fixture.lab.stranger.namespace, None, node)
}

fn audit_works_without_a_daemon(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("in", INGRESS_NOTHING)]) else {
        return;
    };
    assert_eq!(ssh(&fixture), Outcome::Silence);
    fixture.kill_daemon();
    let state = fixture.fw_ctl.files().state.display().to_string();
    let answer = fixture
        .fw_ctl
        .ask(&["mode", "audit", "--state-dir", &state])
        .unwrap();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("no daemon runs"),
        "{}",
        answer.stderr
    );
    assert_eq!(ssh(&fixture), Outcome::Answered, "audit");
    fixture.restart_daemon();
    let status = fixture.fw_ctl.status().unwrap();
    assert_eq!(status.mode, "audit", "it outlasts: {status:?}");
    assert!(!status.is_degraded(), "{status:?}");

    fixture.kill_daemon();
    fixture.fw_ctl.must(&["detach"]).unwrap();
    let answer = fixture.fw_ctl.ask(&["detach"]).unwrap();
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("no pins in /sys/fs/bpf/fw-ctl"),
        "{}",
        answer.stderr
    );
    let answer = fixture.fw_ctl.ask(&["mode", "audit"]).unwrap();
    assert_eq!(answer.code, 5, "nothing is there: {}", answer.stderr);
}

fn audit_works_where_nothing_can_be_stored(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("in", INGRESS_NOTHING)]) else {
        return;
    };
    let state = &fixture.fw_ctl.files().state;
    std::fs::remove_dir_all(state).unwrap();
    std::fs::write(state, "").unwrap();
    let answer = fixture.fw_ctl.ask(&["mode", "audit"]).unwrap();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let told = "will not outlast a restart";
    assert!(answer.stderr.contains(told), "{}", answer.stderr);
    assert_eq!(ssh(&fixture), Outcome::Answered, "audit");
    let status = fixture.fw_ctl.status().unwrap();
    assert!(status.degraded.to_string().contains(told), "{status:?}");
}

fn audit_works_while_the_daemon_hangs(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("in", INGRESS_NOTHING)]) else {
        return;
    };
    let pid = fixture.daemon.as_ref().unwrap().pid();
    kill(pid, Signal::SIGSTOP).unwrap();
    let state = fixture.fw_ctl.files().state.display().to_string();
    let before = Instant::now();
    let brake = ["mode", "audit", "--state-dir", &state];
    let answer = fixture.fw_ctl.ask(&brake).unwrap();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(before.elapsed() < Duration::from_secs(8));
    let told = "audit mode was set in the kernel directly, and is stored for the next start";
    assert!(answer.stderr.contains(told), "{}", answer.stderr);
    assert_eq!(ssh(&fixture), Outcome::Answered, "audit");

    kill(pid, Signal::SIGCONT).unwrap();
    fixture.fw_ctl.must(&["reload"]).unwrap();
    let status = fixture.fw_ctl.status().unwrap();
    assert_eq!(status.mode, "audit", "it is kept: {status:?}");
    assert!(!status.is_degraded(), "{status:?}");

    kill(pid, Signal::SIGSTOP).unwrap();
    let answer = fixture.fw_ctl.ask(&["detach"]).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(answer.code, 5, "{}", answer.stderr);
    let told = format!("kill -9 {pid} (the daemon), then fw-ctl detach again");
    assert!(answer.stderr.contains(&told), "{}", answer.stderr);
}

/// Takes seconds to read.
fn write_large_inventory(fixture: &Fixture) {
    let mut text = String::new();
    for number in 0..60_000 {
        let (high, low) = (number / 250, number % 250);
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\n\
             metadata: {{name: p{number}, namespace: default, labels: {{app: a{number}}}}}\n\
             status: {{podIP: 10.200.{high}.{low}}}\n"
        );
    }
    let place = fixture.fw_ctl.files().inventory.join("large.yaml");
    std::fs::write(place, text).unwrap();
}

fn a_busy_daemon_brakes_and_ends(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("in", INGRESS_NOTHING)]) else {
        return;
    };
    write_large_inventory(&fixture);
    let mut reload = fixture.fw_ctl.command(&["reload"]);
    let mut reload = reload.stderr(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    fixture.fw_ctl.must(&["mode", "audit"]).unwrap();
    assert_eq!(ssh(&fixture), Outcome::Answered, "audit");
    fixture.fw_ctl.status().unwrap();
    assert!(reload.try_wait().unwrap().is_none(), "it is busy still");
    let daemon = fixture.daemon.take().unwrap();
    kill(daemon.pid(), Signal::SIGTERM).unwrap();
    let status = daemon.wait(Duration::from_secs(2)).unwrap();
    assert!(status.success(), "{status}: {}", fixture.fw_ctl.log());
    assert_eq!(
        reload.wait().unwrap().code(),
        Some(5),
        "it never came to it"
    );
}
