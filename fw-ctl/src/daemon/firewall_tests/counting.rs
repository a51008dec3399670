//! What rules have decided, while plans come and go.

use super::*;

type Daemon = Firewall<Fake, FakeSources>;

fn packets(daemon: &mut Daemon) -> u64 {
    daemon.count_rules();
    daemon.rules().unwrap().rules[0].packets
}

#[test]
fn counters_go_on_over_reloads_of_one_rule_and_a_former_daemon() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "host".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let counted = |number: u64, packets: u64| {
        fixture
            .kernel
            .0
            .borrow_mut()
            .counted
            .insert(number, packets);
    };
    counted(1, 3);
    assert_eq!(packets(&mut daemon), 3);
    let rules = daemon.rules().unwrap();
    assert!(rules.rules[0].last_hit.is_some(), "{rules:?}");
    // Counted to the end, though nobody asked before the reload.
    counted(1, 5);
    fixture.files.0.borrow_mut().policy = "other".into();
    daemon.reload().unwrap();
    assert_eq!(packets(&mut daemon), 0, "of another policy");
    counted(2, 4);
    assert_eq!(packets(&mut daemon), 4);
    fixture.files.0.borrow_mut().policy = "host".into();
    daemon.reload().unwrap();
    counted(3, 1);
    assert_eq!(packets(&mut daemon), 6, "it is back");
    daemon.count_at_end();
    drop(daemon);
    counted(3, 2);
    let mut next = fixture.daemon();
    next.start(network(&["eth0"])).unwrap();
    assert_eq!(packets(&mut next), 7);
}
