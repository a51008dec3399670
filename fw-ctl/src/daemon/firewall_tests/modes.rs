//! Audit and enforce, and what becomes of them.

use super::*;

/// A daemon that has started and enforces.
fn enforcing(fixture: &Fixture) -> Firewall<Fake, FakeSources> {
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    daemon
}

#[test]
fn a_damaged_mode_leaves_the_mode_that_is_in_force() {
    let fixture = Fixture::new();
    drop(enforcing(&fixture));
    std::fs::write(fixture.state.path().join("mode.json"), "{").unwrap();
    for pinned in [true, false] {
        if !pinned {
            *fixture.kernel.0.borrow_mut() = Pins::default();
        }
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        let status = daemon.how().unwrap();
        assert_eq!(status.mode, "enforce");
        assert!(status.degraded[0].starts_with("the stored mode"));
    }
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon
        .set_mode(ModeChange::Audit, &Change::default())
        .unwrap();
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn a_mode_that_is_lost_is_that_of_before() {
    for (pinned, kept) in [(true, true), (true, false), (false, true)] {
        let fixture = Fixture::new();
        drop(enforcing(&fixture));
        let state = fixture.state.path();
        std::fs::remove_file(state.join("mode.json")).unwrap();
        if !kept {
            std::fs::remove_file(state.join("confirmed.json")).unwrap();
        }
        if !pinned {
            *fixture.kernel.0.borrow_mut() = Pins::default();
        }
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        let status = daemon.how().unwrap();
        assert_eq!(status.mode, "enforce", "pinned {pinned}, kept {kept}");
        assert!(status.degraded[0].contains("it is gone, and enforce"));
        let audit = daemon.set_mode(ModeChange::Configured, &Change::default());
        assert_eq!(audit.unwrap().mode, "audit");
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        assert_eq!(daemon.how().unwrap().mode, "audit");
        assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
    }
}

#[test]
fn another_configured_mode_is_no_lost_one() {
    let fixture = Fixture::new();
    for mode in [ModeSetting::Enforce, ModeSetting::Audit] {
        fixture.files.0.borrow_mut().config.policy.mode = mode;
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        let status = daemon.how().unwrap();
        assert_eq!(status.mode, Mode::from(mode).name());
        assert_eq!(
            (status.mode_source.as_str(), status.degraded),
            ("configuration", vec![])
        );
    }
}

#[test]
fn a_brake_that_could_not_be_stored_holds() {
    let fixture = Fixture::new();
    drop(enforcing(&fixture));
    // As `fw-ctl mode audit` where no daemon answers and nothing can be written.
    let set = Kernel::set_mode(&mut fixture.daemon().kernel, Mode::Audit);
    assert_eq!(set.unwrap().mode, Mode::Audit);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.how().unwrap().mode, "audit");
    assert_eq!(
        ModeStore::open(fixture.state.path()).get(),
        Some(Mode::Audit)
    );
}

#[test]
fn a_mode_that_was_set_outlives_daemon_and_configuration() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let mode = daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap();
    assert_eq!(
        (mode.mode.as_str(), mode.source.as_str()),
        ("enforce", "fw-ctl mode")
    );
    daemon.reload().unwrap();
    assert_eq!(daemon.mode().unwrap().mode, "enforce");
    drop(daemon);

    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.mode().unwrap().mode, "enforce");
    let mode = daemon
        .set_mode(ModeChange::Configured, &Change::default())
        .unwrap();
    assert_eq!(
        (mode.mode.as_str(), mode.source.as_str()),
        ("audit", "configuration")
    );
}

#[test]
fn a_mode_that_cannot_be_installed_is_not_remembered() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.kernel.0.borrow_mut().full = true;
    daemon
        .set_mode(ModeChange::Enforce, &Change::default())
        .unwrap_err();
    assert_eq!(daemon.mode().unwrap().mode, "audit");
    assert_eq!(ModeStore::open(fixture.state.path()).get(), None);
    assert_eq!(
        daemon.rules().unwrap().generation,
        1,
        "the old plan is known still"
    );
    assert!(daemon.check());
}

#[test]
fn audit_mode_that_was_set_in_the_kernel_is_kept_by_a_daemon_that_comes_back() {
    for checks in [true, false] {
        let fixture = Fixture::new();
        let mut daemon = enforcing(&fixture);
        fixture.kernel.clone().set_mode(Mode::Audit).unwrap();
        if checks {
            assert!(daemon.check());
            assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
        }
        daemon.reload().unwrap();
        let mode = daemon.mode().unwrap();
        assert_eq!(
            (mode.mode.as_str(), mode.source.as_str()),
            ("audit", "fw-ctl mode")
        );
        drop(daemon);
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        assert_eq!(daemon.mode().unwrap().mode, "audit", "it is stored");
    }
}
