//! Interfaces that come, go, and belong to others.

use super::*;

#[test]
fn links_come_and_go() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.log();
    daemon.network_changed(network(&["eth0"]));
    assert_eq!(fixture.log(), [""; 0], "nothing has changed");
    daemon.network_changed(network(&["eth0", "eth1"]));
    assert_eq!(fixture.log(), ["addresses", "attach eth1"]);
    daemon.network_changed(network(&["eth0"]));
    assert_eq!(fixture.log(), ["addresses", "detach 3"]);
    daemon.network_changed(network(&["eth0", "lan0"]));
    daemon.network_changed(network(&["eth0", "lan1"]));
    assert_eq!(fixture.links(), ["eth0", "lan1"], "a new name is learnt");
    daemon.network_changed(network(&[]));
    let degraded = daemon.how().unwrap().degraded;
    assert!(
        degraded[0].starts_with("no interface is filtered"),
        "{degraded:?}"
    );
}

#[test]
fn a_foreign_program_degrades_and_is_tried_again() {
    let fixture = Fixture::new();
    fixture.kernel.0.borrow_mut().foreign = Some("eth0");
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0", "eth1"])).unwrap();
    assert_eq!(fixture.links(), ["eth1"]);
    let status = daemon.how().unwrap();
    assert_eq!(
        status.degraded,
        ["interface eth0: XDP program 17 is attached already (try: remove it)"]
    );
    fixture.kernel.0.borrow_mut().foreign = None;
    assert!(daemon.check());
    assert_eq!(fixture.links(), ["eth1", "eth0"]);
    assert_eq!(daemon.how().unwrap().degraded, [""; 0]);
}

#[test]
fn slower_modes_warn_and_are_refused_when_native_is_required() {
    let fixture = Fixture::new();
    fixture.kernel.0.borrow_mut().no_native = true;
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let status = daemon.how().unwrap();
    assert_eq!(
        status.warnings,
        ["eth0: tc in place of native XDP: the driver has no XDP"]
    );
    assert_eq!(status.degraded, [""; 0]);

    fixture.files.0.borrow_mut().config.interfaces.require = Require::Native;
    daemon.reload().unwrap();
    assert_eq!(
        daemon.how().unwrap().degraded,
        ["eth0: `interfaces.require` = \"native\", but it is tc: the driver has no XDP"]
    );
    let mut files = fixture.files.0.borrow_mut();
    files.config.interfaces.require = Require::Any;
    files.config.interfaces.xdp = XdpSetting::Off;
    drop(files);
    daemon.reload().unwrap();
    let status = daemon.how().unwrap();
    assert_eq!(
        (status.degraded, status.warnings),
        (vec![], vec![]),
        "it was asked for"
    );
}

#[test]
fn a_member_that_leaves_its_bond_keeps_its_filter() {
    let fixture = Fixture::new();
    let mut files = fixture.files.0.borrow_mut();
    files.config.interfaces.xdp = XdpSetting::Native;
    drop(files);
    let mut joined = network(&["bond0", "veth0", "veth1"]);
    joined.links[0].kind = "bond".into();
    for member in &mut joined.links[1..] {
        member.kind = "veth".into();
        member.master = Some(2);
    }
    let mut daemon = fixture.daemon();
    daemon.start(joined.clone()).unwrap();
    assert_eq!(fixture.links(), ["veth0", "veth1"]);
    let mut apart = joined.clone();
    apart.links[2].master = None;
    apart.addresses.retain(|address| address.link != 4);
    fixture.log();
    daemon.network_changed(apart.clone());
    assert_eq!(fixture.links(), ["veth0", "veth1"], "it may come back");
    daemon.reload().unwrap();
    assert_eq!(fixture.links(), ["veth0", "veth1"], "with new programs");
    daemon.network_changed(joined);
    assert_eq!(fixture.links(), ["veth0", "veth1"]);
    // Excluded, it loses it.
    let mut files = fixture.files.0.borrow_mut();
    files.config.interfaces.exclude = vec!["veth1".into()];
    drop(files);
    daemon.network_changed(apart);
    daemon.reload().unwrap();
    assert_eq!(fixture.links(), ["veth0"]);
}

#[test]
fn what_takes_over_is_attached_before_the_other_is_detached() {
    let fixture = Fixture::new();
    let mut bond = network(&["bond0", "eth0"]);
    bond.links[0].kind = "bond".into();
    let mut daemon = fixture.daemon();
    daemon.start(bond.clone()).unwrap();
    assert_eq!(fixture.links(), ["bond0", "eth0"]);
    bond.links[1].master = Some(2);
    fixture.log();
    daemon.network_changed(bond.clone());
    assert_eq!(fixture.log(), ["addresses", "attach eth0", "detach 2"]);
    // Where the member cannot be had, the bond keeps its filter.
    let fixture = Fixture::new();
    fixture.kernel.0.borrow_mut().foreign = Some("eth0");
    bond.links[1].master = None;
    let mut daemon = fixture.daemon();
    daemon.start(bond.clone()).unwrap();
    assert_eq!(fixture.links(), ["bond0"]);
    bond.links[1].master = Some(2);
    daemon.network_changed(bond);
    assert_eq!(fixture.links(), ["bond0"]);
}

#[test]
fn when_a_foreign_program_goes_native_xdp_is_tried_again() {
    let fixture = Fixture::new();
    let mut links = network(&["eth0"]);
    links.links[0].xdp = Some(17);
    fixture.kernel.0.borrow_mut().no_native = true;
    let mut daemon = fixture.daemon();
    daemon.start(links.clone()).unwrap();
    assert_eq!(fixture.modes(), ["eth0 tc"]);
    fixture.kernel.0.borrow_mut().no_native = false;
    links.links[0].up = false;
    daemon.network_changed(links.clone());
    assert_eq!(fixture.modes(), ["eth0 tc"], "nothing that matters");
    links.links[0].xdp = None;
    daemon.network_changed(links.clone());
    assert_eq!(fixture.modes(), ["eth0 xdp-native"]);
    // Our own program is no reason to try again.
    fixture.log();
    links.links[0].xdp = Some(18);
    daemon.network_changed(links);
    assert_eq!(fixture.log(), ["addresses"]);
}
