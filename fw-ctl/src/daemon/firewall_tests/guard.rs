//! Somebody takes the filter away under the daemon.

use super::*;

#[test]
fn a_link_that_was_detached_is_told_and_attached_again() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0", "eth1"])).unwrap();
    fixture.log();
    fixture.kernel.0.borrow_mut().lost.insert(3);
    let status = daemon.status().unwrap();
    assert_eq!(
        status.degraded,
        ["interface eth1: its XDP program was detached (try: fw-ctl reload)"]
    );
    let names: Vec<_> = status.interfaces.iter().map(|link| &link.name).collect();
    assert_eq!(names, ["eth0"], "only what the kernel filters is listed");
    assert!(status.unfiltered.iter().any(|link| link.name == "eth1"));
    assert!(daemon.check());
    assert!(fixture.log().contains(&"attach eth1".into()));
    assert_eq!(daemon.status().unwrap().degraded, [""; 0]);
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
    assert_eq!(daemon.status().unwrap().degraded, expected);
    assert!(daemon.headline().contains("interface eth0"));
    fixture.kernel.0.borrow_mut().foreign = None;
    daemon.check();
    assert_eq!(daemon.status().unwrap().degraded, [""; 0]);
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
    assert_eq!(daemon.status().unwrap().generation.number, Some(2));
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
        let warnings = daemon.status().unwrap().warnings;
        warnings.iter().any(|line| line.contains("connections"))
    };
    assert!(!crowd(89));
    assert!(crowd(90));
}

#[test]
fn tables_that_somebody_else_changed_are_noticed() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert!(daemon.check());
    fixture.kernel.0.borrow_mut().tables[3] ^= 1;
    assert!(!daemon.check());
    let degraded = daemon.status().unwrap().degraded;
    assert!(
        degraded[0].starts_with("the kernel's tables are not those"),
        "{degraded:?}"
    );
    daemon.reload().unwrap();
    assert!(daemon.check());
}
