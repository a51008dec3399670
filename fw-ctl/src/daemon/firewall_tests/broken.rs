//! Starting among broken files, or without a place to keep anything.

use super::*;

#[test]
fn broken_policies_at_start_never_judge_by_nothing() {
    let fixture = Fixture::new();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(fixture.links(), [""; 0]);
    let status = daemon.how().unwrap();
    assert_eq!(
        status.degraded,
        ["a.yaml: broken", "nothing is filtered: there is no plan"]
    );
    assert_eq!(status.mode, "none");
    daemon.network_changed(network(&["eth0", "eth1"]));
    assert_eq!(fixture.links(), [""; 0]);
    let mode = daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    assert!(mode.warnings[0].starts_with("no plan is in force"));
    assert_eq!(mode.mode, "none");

    fixture.break_files(None);
    daemon.reload().unwrap();
    assert_eq!(fixture.links(), ["eth0", "eth1"]);
    assert_eq!(daemon.mode().unwrap().mode, "enforce", "it was kept");
}

#[test]
fn broken_policies_at_start_keep_what_is_pinned() {
    let fixture = Fixture::new();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0", "eth1"])).unwrap_err();
    assert_eq!(
        fixture.links(),
        ["eth0", "eth1"],
        "the pinned plan guards new links too"
    );
    let status = daemon.how().unwrap();
    assert_eq!(status.generation.number, Some(1));
    assert_eq!(status.degraded, ["a.yaml: broken"]);
    assert!(daemon.check());
}

#[test]
fn after_a_reboot_broken_files_leave_the_last_accepted_plan() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "good".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    drop(daemon);
    *fixture.kernel.0.borrow_mut() = Pins::default();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    let failure = daemon.start(network(&["eth0"])).unwrap_err();
    assert!(
        failure
            .message
            .starts_with("the change is refused, generation 1 stays in force"),
        "{failure}"
    );
    assert_eq!(fixture.links(), ["eth0"]);
    let status = daemon.how().unwrap();
    assert_eq!(status.mode, "enforce");
    assert_eq!(status.degraded, ["a.yaml: broken"]);
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "good");
    assert_eq!(
        daemon
            .set_mode(ModeChange::Audit, &Change::default())
            .unwrap()
            .mode,
        "audit"
    );
    assert!(daemon.check());
}

#[test]
fn broken_files_at_a_restart_leave_names_and_mode_changes() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "good".into();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    fixture.log();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert!(
        !fixture
            .log()
            .iter()
            .any(|entry| entry.starts_with("install")),
        "it is in force already"
    );
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "good");
    assert_eq!(
        daemon
            .set_mode(ModeChange::Enforce, &Change::default())
            .unwrap()
            .mode,
        "enforce"
    );
}

#[test]
fn a_later_plan_in_the_kernel_is_not_replaced_by_a_kept_one() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let mut pins = fixture.kernel.0.borrow_mut();
    pins.active = pins.active.map(|active| InForce {
        number: 5,
        hash: [9; 16],
        ..active
    });
    drop(pins);
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    let status = daemon.how().unwrap();
    assert_eq!(status.generation.number, Some(5));
    // The brake works on what nobody has the files of any more.
    assert_eq!(
        daemon
            .set_mode(ModeChange::Enforce, &super::files::forced())
            .unwrap()
            .mode,
        "enforce"
    );
    assert_eq!(
        daemon
            .set_mode(ModeChange::Audit, &Change::default())
            .unwrap()
            .mode,
        "audit"
    );
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_until_it_can() {
    let mut fixture = Fixture::new();
    let good = fixture.state;
    fixture.state = tempfile::tempdir().unwrap();
    let state = fixture.state.path().to_owned();
    std::fs::remove_dir(&state).unwrap();
    std::fs::write(&state, "").unwrap();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let degraded = daemon.how().unwrap().degraded;
    assert!(
        degraded[0].starts_with("what is in force cannot be kept for the next boot"),
        "{degraded:?}"
    );
    assert_eq!(fixture.links(), ["eth0"], "it filters all the same");
    std::fs::remove_file(&state).unwrap();
    assert!(daemon.check());
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
    drop(good);
}
