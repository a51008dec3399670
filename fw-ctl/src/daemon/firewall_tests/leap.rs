//! Changes that would cut what is open, and connections that are older than the filter.

use fw_common::wire::{Action, Origin};

use super::files::forced;
use super::*;
use crate::sockets::{Began, Connection, State, TCP};

fn open(local: &str, remote: &str, began: Began) -> Connection {
    Connection {
        protocol: TCP,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        state: State::Established,
        began,
    }
}

/// A peer's connection, and one of the node's own.
fn two_open(fixture: &Fixture) {
    fixture.kernel.0.borrow_mut().sockets.connections = vec![
        open("10.0.0.1:6443", "192.0.2.7:40000", Began::Peer),
        open("10.0.0.1:40000", "192.0.2.8:443", Began::Node),
    ];
}

const CUT: &str = "connection 192.0.2.7:40000 -> 10.0.0.1:6443/TCP: default-deny of policy \
                   nothing in (a.yaml:1)";

/// The policy `all` in force, in this mode.
fn started(fixture: &Fixture, mode: ModeSetting) -> Firewall<Fake, FakeSources> {
    fixture.files.0.borrow_mut().policy = "all".into();
    fixture.files.0.borrow_mut().config.policy.mode = mode;
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    two_open(fixture);
    fixture.log();
    daemon
}

fn is_refused<T: std::fmt::Debug>(answer: Result<T, Failure>) {
    let failure = answer.unwrap_err();
    assert_eq!(failure.exit, exit::REFUSED);
    let lines: Vec<_> = failure.message.lines().collect();
    assert_eq!(
        lines[0],
        "this change would cut 1 connection that is open now"
    );
    assert_eq!(lines[1], CUT);
    assert_eq!(failure.data.unwrap()["connections"], 1);
}

#[test]
fn a_reload_that_cuts_what_is_open_takes_force() {
    let fixture = Fixture::new();
    let mut daemon = started(&fixture, ModeSetting::Enforce);
    daemon.reload().unwrap();
    fixture.log();
    fixture.files.0.borrow_mut().policy = "nothing in".into();
    is_refused(daemon.reload());
    assert_eq!(fixture.log(), [""; 0], "nothing has changed");
    let status = daemon.how().unwrap();
    assert!(status.degraded[0].starts_with("the change is refused: this change would cut 1"));
    assert_ne!(status.generation.declared, status.generation.kernel);
    // Nor does it by a restart.
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "all");
    let degraded = daemon.how().unwrap().degraded;
    assert!(
        degraded[0].contains("fw-ctl reload refused them"),
        "{degraded:?}"
    );
    let reloaded = daemon.reload_by_force().unwrap();
    assert_eq!(
        reloaded.warnings[..2],
        ["this change cuts 1 connection that is open now", CUT]
    );
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
    // It is cut: the same again cuts nothing.
    let again = daemon.reload().unwrap().warnings;
    assert!(!again.iter().any(|line| line.contains("cut")), "{again:?}");
}

#[test]
fn to_enforce_takes_force_if_it_cuts_what_is_open() {
    let fixture = Fixture::new();
    let mut daemon = started(&fixture, ModeSetting::Audit);
    fixture.files.0.borrow_mut().policy = "nothing in".into();
    daemon.reload().unwrap();
    let enforce = ModeChange::Enforce;
    is_refused(daemon.set_mode(enforce, &Change::default()));
    assert_eq!(daemon.mode().unwrap().mode, "audit");
    assert_eq!(ModeStore::open(fixture.state.path()).get(), None);
    let asked = Change {
        confirm: Some(60),
        ..Change::default()
    };
    is_refused(daemon.set_mode(enforce, &asked));
    let mode = daemon.set_mode(enforce, &forced()).unwrap();
    assert_eq!(mode.mode, "enforce");
    assert_eq!(mode.warnings[1], CUT);
    daemon
        .set_mode(ModeChange::Audit, &Change::default())
        .unwrap();
    // By the configuration: it is the same change.
    fixture.files.0.borrow_mut().config.policy.mode = ModeSetting::Enforce;
    is_refused(
        daemon
            .set_mode(ModeChange::Configured, &Change::default())
            .and_then(|_| daemon.reload()),
    );
}

#[test]
fn what_audit_mode_let_pass_is_told_with_the_switch() {
    let fixture = Fixture::new();
    let mut daemon = started(&fixture, ModeSetting::Audit);
    fixture.files.0.borrow_mut().policy = "nothing in".into();
    daemon.reload().unwrap();
    fixture.kernel.0.borrow_mut().sockets = Sockets::default();
    let event = fw_common::wire::Event {
        source: "203.0.113.9".parse::<IpAddr>().unwrap().into(),
        destination: "10.0.0.1".parse::<IpAddr>().unwrap().into(),
        destination_port: 23,
        action: Action::Audit as u8,
        family: 4,
        protocol: TCP,
        ..Default::default()
    };
    let names = Names::new("default/n1".into());
    let record = crate::observe::Record {
        time: crate::observe::now(),
        ..names.record(&event, crate::observe::Clock::now())
    };
    daemon.recent().lock().unwrap().note(&event, &record);
    let mode = daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    assert_eq!(
        mode.audited.unwrap().lines()[1],
        "from 203.0.113.9 to 23/TCP, once, last 0 s ago: \
         default-deny of policy nothing in (a.yaml:1)"
    );
    // Enforced already: nothing of it is news.
    let mode = daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    assert_eq!(mode.audited, None);
}

#[test]
fn a_rollback_that_cuts_what_is_open_takes_force() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "nothing in".into();
    fixture.files.0.borrow_mut().config.policy.mode = ModeSetting::Enforce;
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.files.0.borrow_mut().policy = "all".into();
    daemon.reload().unwrap();
    two_open(&fixture);
    fixture.log();
    is_refused(daemon.back(None, &Change::default()));
    assert_eq!(fixture.log(), [""; 0]);
    assert_eq!(daemon.back(None, &forced()).unwrap().warnings[1], CUT);
}

#[test]
fn a_start_refuses_nothing_and_remembers_before_and_after_it_attaches() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "nothing in".into();
    fixture.files.0.borrow_mut().config.policy.mode = ModeSetting::Enforce;
    two_open(&fixture);
    let mut daemon = fixture.daemon();
    let reloaded = daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(reloaded.warnings[1], CUT);
    let log = fixture.log();
    let at = |what: &str| log.iter().position(|line| line == what).unwrap();
    assert!(
        at("seed 1") < at("install 1") && at("install 1") < at("attach eth0"),
        "{log:?}"
    );
    assert_eq!(log.last().unwrap(), "seed 1", "{log:?}");
    // The node's own, for the answers that it gets; the peer's is cut.
    let seeds = fixture.kernel.0.borrow().seeds.clone();
    assert!(
        seeds
            .iter()
            .all(|seed| seed.key.remote_port == 443 && seed.origin == Origin::Local)
    );
    // A link that comes later brings connections along.
    assert!(daemon.network_changed(network(&["eth0", "eth1"])));
    assert_eq!(fixture.log().last().unwrap(), "seed 1");
}

#[test]
fn connections_are_remembered_before_the_mode_changes_and_after_a_trial() {
    let fixture = Fixture::new();
    let mut daemon = started(&fixture, ModeSetting::Audit);
    fixture.files.0.borrow_mut().policy = "nothing in".into();
    daemon.reload().unwrap();
    fixture.log();
    daemon.set_mode(ModeChange::Enforce, &forced()).unwrap();
    assert_eq!(fixture.log(), ["seed 1", "mode Enforce"]);
    fixture.files.0.borrow_mut().policy = "all".into();
    daemon.reload_on_trial().unwrap();
    fixture.log();
    fixture.kernel.0.borrow_mut().trial.as_mut().unwrap().1 = Duration::ZERO;
    assert!(daemon.end_trial());
    let log = fixture.log();
    assert!(log.contains(&"seed 1".to_owned()), "{log:?}");
}

#[test]
fn nobody_enforces_unseen_what_nobody_knows() {
    let fixture = Fixture::new();
    drop(started(&fixture, ModeSetting::Audit));
    // The pins stay; what they hold is forgotten, and the files are broken.
    fixture.break_files(Some("broken"));
    std::fs::remove_dir_all(fixture.state.path()).unwrap();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    let failure = daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap_err();
    assert_eq!(failure.exit, exit::REFUSED);
    assert_eq!(daemon.mode().unwrap().mode, "audit");
    daemon.set_mode(ModeChange::Enforce, &forced()).unwrap();
    assert_eq!(daemon.mode().unwrap().mode, "enforce");
}
