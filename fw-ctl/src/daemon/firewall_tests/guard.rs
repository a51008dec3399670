//! Somebody takes the filter away under the daemon.

use super::*;

#[test]
fn a_link_that_was_detached_is_told_and_attached_again() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0", "eth1"])).unwrap();
    fixture.log();
    fixture.kernel.0.borrow_mut().lost.insert(3);
    let status = daemon.how().unwrap();
    assert_eq!(
        status.degraded,
        ["interface eth1: its XDP program was detached (try: fw-ctl reload)"]
    );
    let names: Vec<_> = status.interfaces.iter().map(|link| &link.name).collect();
    assert_eq!(names, ["eth0"], "only what the kernel filters is listed");
    assert!(status.unfiltered.iter().any(|link| link.name == "eth1"));
    assert!(daemon.check());
    assert!(fixture.log().contains(&"attach eth1".into()));
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn a_link_that_cannot_be_attached_again_stays_degraded_by_name() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let mut pins = fixture.kernel.0.borrow_mut();
    pins.lost.insert(2);
    pins.foreign = Some("eth0");
    drop(pins);
    daemon.check();
    let expected = ["interface eth0: XDP program 17 is attached already (try: remove it)"];
    assert_eq!(daemon.how().unwrap().degraded, expected);
    assert!(daemon.headline().contains("interface eth0"));
    fixture.kernel.0.borrow_mut().foreign = None;
    daemon.check();
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn tables_without_pins_are_pinned_again() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.log();
    fixture.kernel.0.borrow_mut().unpinned = true;
    assert!(daemon.check());
    assert_eq!(fixture.log(), ["repin", "install 2"]);
    assert_eq!(daemon.how().unwrap().generation.number, Some(2));
}

#[test]
fn an_opened_node_is_not_closed_by_the_guard() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon.detach().unwrap();
    assert!(daemon.check());
    assert_eq!(fixture.links(), [""; 0]);
}

#[test]
fn a_crowded_table_of_connections_is_a_warning() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let crowd = |live| {
        fixture.kernel.0.borrow_mut().pressure = Pressure {
            live,
            capacity: 100,
            begun: live,
            displaced: 0,
        };
        let warnings = daemon.how().unwrap().warnings;
        warnings.iter().any(|line| line.contains("connections"))
    };
    assert!(!crowd(89));
    assert!(crowd(90));
}

#[test]
fn tables_that_somebody_else_changed_are_written_again() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert!(daemon.check());
    fixture.log();
    fixture.kernel.0.borrow_mut().tables[3] ^= 1;
    assert!(daemon.check());
    assert_eq!(fixture.log(), ["install 2"]);
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);

    // As long as that cannot be done, it is told.
    let mut pins = fixture.kernel.0.borrow_mut();
    pins.tables[3] ^= 1;
    pins.full = true;
    drop(pins);
    assert!(!daemon.check());
    let degraded = daemon.how().unwrap().degraded;
    assert!(
        degraded[0].starts_with("the kernel's tables are not those"),
        "{degraded:?}"
    );
    fixture.kernel.0.borrow_mut().full = false;
    assert!(daemon.check());
}

#[test]
fn a_plan_that_another_process_has_put_in_force_is_told_and_left() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.log();
    let mut pins = fixture.kernel.0.borrow_mut();
    let audit = pins.active.map(|active| InForce {
        mode: Mode::Enforce,
        ..active
    });
    pins.active = audit;
    drop(pins);
    assert!(!daemon.check(), "the brake may have been pulled without us");
    assert_eq!(fixture.log(), [""; 0]);
    daemon.reload().unwrap();
    assert!(daemon.check());
}

#[test]
fn links_of_a_former_version_are_told_until_they_are_switched() {
    let fixture = Fixture::new();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    // Another schema: nothing is in force there, and the programs go on.
    let mut pins = fixture.kernel.0.borrow_mut();
    pins.active = None;
    pins.former.insert(2, 6);
    drop(pins);
    std::fs::remove_file(fixture.state.path().join("confirmed.json")).unwrap();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    let failure = daemon.start(network(&["eth0"])).unwrap_err();
    assert!(
        failure.message.contains("the programs of a former version"),
        "{failure}"
    );
    let former = "interface eth0: the programs of a former version (schema 6) filter it still, by \
                  the plan that they had; try: mend the files, then fw-ctl reload";
    let degraded = daemon.how().unwrap().degraded;
    assert_eq!(degraded, ["a.yaml: broken", former]);
    fixture.log();
    daemon.check();
    assert_eq!(fixture.log(), [""; 0], "not without a plan");

    fixture.break_files(None);
    daemon.reload().unwrap();
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
    // One that the kernel refused at first.
    fixture.log();
    fixture.kernel.0.borrow_mut().former.insert(2, 6);
    assert_eq!(daemon.how().unwrap().degraded, [former]);
    daemon.check();
    assert!(fixture.log().contains(&"attach eth0".into()));
}

#[test]
fn programs_that_judge_otherwise_degrade() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let status = daemon.how().unwrap();
    let test = status.datapath.self_test.unwrap();
    assert_eq!((test.generation, test.packets), (1, 1));
    assert_eq!(
        test.to_string(),
        "generation 1: 1 packets judged as the plan says (1 ms, 1970-01-01T00:00:00Z)"
    );
    fixture.kernel.0.borrow_mut().misjudged = Some("TCP 22 passes".into());
    assert_eq!(
        daemon.how().unwrap().degraded,
        ["the self-test of generation 1: TCP 22 passes"]
    );
}
