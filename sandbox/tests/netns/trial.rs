//! Changes that have to be confirmed, with real connections and dead daemons.

use std::time::{Duration, Instant};

use sandbox::Family;
use sandbox::probe::{self, Outcome};

use crate::fixture::{Fixture, INGRESS_NOTHING, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    a_dead_daemon_locks_nobody_out,
    a_rebooted_trial_is_over,
    what_is_confirmed_stays,
    it_is_waited_for,
);

/// Only those who are allowed by the policy `in`: no failsafe is configured here.
const SSH: &str = r#"
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "22", protocol: TCP}
"#;

fn ssh(fixture: &Fixture) -> Outcome {
    let node = fixture.lab.node.socket(Family::V4, 22);
    probe::tcp(&fixture.lab.stranger.namespace, None, node)
}

/// Until SSH is answered again, at most.
fn locked_out(fixture: &Fixture, most: Duration) -> Duration {
    let begun = Instant::now();
    while ssh(fixture) != Outcome::Answered {
        assert!(
            begun.elapsed() < most,
            "locked out for {:?}",
            begun.elapsed()
        );
    }
    begun.elapsed()
}

fn a_dead_daemon_locks_nobody_out(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("in", SSH)]) else {
        return;
    };
    assert_eq!(ssh(&fixture), Outcome::Answered);
    fixture.write_policy("in", INGRESS_NOTHING);
    let answer = fixture
        .fw_ctl
        .ask(&["reload", "--confirm", "5s", "--force"])
        .unwrap();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(
        answer.stdout.contains("fw-ctl confirm"),
        "{}",
        answer.stdout
    );
    fixture.kill_daemon();
    assert_eq!(ssh(&fixture), Outcome::Silence, "it is in force");
    // Within 6 s of the deadline; nobody of ours runs.
    locked_out(&fixture, Duration::from_secs(11));

    // Who starts then, does not bring it back, but tells.
    fixture.restart_daemon();
    let status = fixture.fw_ctl.status().unwrap();
    assert!(status.is_degraded());
    let degraded = status.degraded.to_string();
    assert!(
        degraded.contains("was not confirmed within 5 s"),
        "{degraded}"
    );
    assert_eq!(ssh(&fixture), Outcome::Answered);
    let late = fixture.fw_ctl.ask(&["confirm"]).unwrap();
    assert_eq!(late.code, 6, "{}", late.stderr);
    fixture.write_policy("in", SSH);
    fixture.reload();
    assert!(!fixture.fw_ctl.status().unwrap().is_degraded());
}

fn a_rebooted_trial_is_over(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("in", SSH)]) else {
        return;
    };
    fixture.write_policy("in", INGRESS_NOTHING);
    fixture
        .fw_ctl
        .must(&["reload", "--confirm", "1h", "--force"])
        .unwrap();
    assert_eq!(ssh(&fixture), Outcome::Silence);
    fixture.kill_daemon();
    // What a reboot leaves: nothing is pinned.
    fixture.fw_ctl.must(&["detach"]).unwrap();
    fixture.restart_daemon();
    assert_eq!(ssh(&fixture), Outcome::Answered);
    fixture.write_policy("in", INGRESS_WEB);
    fixture.reload();
    assert_eq!(ssh(&fixture), Outcome::Silence);
    fixture.fw_ctl.must(&["rollback"]).unwrap();
    assert_eq!(ssh(&fixture), Outcome::Answered);
}

fn what_is_confirmed_stays(xdp: &'static str) {
    let Some(mut fixture) = Fixture::start(xdp, "enforce", &[("in", INGRESS_NOTHING)]) else {
        return;
    };
    assert_eq!(ssh(&fixture), Outcome::Silence);
    fixture.write_policy("in", SSH);
    fixture.fw_ctl.must(&["reload", "--confirm", "2m"]).unwrap();
    fixture.kill_daemon();
    fixture.restart_daemon();
    fixture.fw_ctl.must(&["confirm"]).unwrap();
    assert_eq!(ssh(&fixture), Outcome::Answered);
    let again = fixture.fw_ctl.must(&["confirm", "-o", "json"]).unwrap();
    assert!(again.contains("nothing is on trial"), "{again}");
    assert!(!fixture.fw_ctl.status().unwrap().is_degraded());
    let journal = fixture.fw_ctl.must(&["journal"]).unwrap();
    assert!(journal.contains("in force"), "{journal}");
}

fn it_is_waited_for(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("in", SSH)]) else {
        return;
    };
    fixture.write_policy("in", INGRESS_NOTHING);
    let answer = fixture
        .fw_ctl
        .ask(&["reload", "--confirm", "2s", "--wait", "--force"])
        .unwrap();
    assert_eq!(answer.code, 6, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("not confirmed in time"),
        "{}",
        answer.stderr
    );
    assert_eq!(ssh(&fixture), Outcome::Answered);
}
