//! Changes of `interfaces.include`.

use super::*;

fn include(fixture: &Fixture, names: &[&str]) {
    let mut files = fixture.files.0.borrow_mut();
    files.config.interfaces.include = names.iter().map(|name| (*name).into()).collect();
}

#[test]
fn a_typo_does_not_open_an_interface() {
    let fixture = Fixture::new();
    include(&fixture, &["eth0", "eth1"]);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0", "eth1"])).unwrap();
    fixture.log();
    include(&fixture, &["eth0", "etj1", "lan*"]);
    let failure = daemon.reload().unwrap_err();
    assert_eq!(failure.exit, exit::REFUSED);
    assert_eq!(
        failure.message,
        "the change is refused: no interface here fits `etj1`, `lan*` of `interfaces.include`, \
         and eth1 would not be filtered any more"
    );
    assert_eq!(fixture.log(), [""; 0], "nothing was touched");
    assert!(daemon.how().unwrap().degraded[0].contains("etj1"));

    // A name for later opens nothing, nor does leaving one out mean a typo.
    include(&fixture, &["eth0", "eth1", "lan0"]);
    daemon.reload().unwrap();
    include(&fixture, &["eth0"]);
    daemon.reload().unwrap();
    assert_eq!(fixture.links(), ["eth0"]);
}

#[test]
fn an_interface_that_has_gone_or_is_excluded_refuses_nothing() {
    let fixture = Fixture::new();
    include(&fixture, &["eth0", "eth1"]);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0", "eth1"])).unwrap();
    daemon.network_changed(network(&["eth0"]));
    daemon.reload().unwrap();
    include(&fixture, &["lan0"]);
    fixture.files.0.borrow_mut().config.interfaces.exclude = vec!["eth0".into()];
    daemon.reload().unwrap();
    assert_eq!(fixture.links(), [""; 0], "it was asked for");
}

#[test]
fn at_the_start_a_typo_degrades() {
    let fixture = Fixture::new();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    include(&fixture, &["etj0"]);
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert!(daemon.how().unwrap().degraded[0].starts_with("interface etj0:"));
}
