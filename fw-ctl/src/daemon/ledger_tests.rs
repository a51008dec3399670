use std::net::Ipv4Addr;
use std::sync::Arc;

use super::*;
use crate::observe::{Endpoint, Identity};

/// Of a new connection from `remote` to a port of the node.
pub fn record(told: Told, remote: u32, port: u16, seconds: u64) -> Record {
    let end = |address: Ipv4Addr, port, number| Endpoint {
        address: address.into(),
        port,
        identity: Arc::new(Identity {
            number,
            labels: Vec::new(),
        }),
        pod: Box::default(),
    };
    Record {
        number: 0,
        time: seconds * NANOSECONDS,
        node: "default/n1".into(),
        node_labels: Arc::default(),
        told,
        reason: (told != Told::Allow).then_some(0),
        ingress: true,
        source: end(remote.into(), 40_000, WORLD),
        destination: end(Ipv4Addr::new(10, 0, 0, 10), port, 1),
        family: 4,
        protocol: 6,
        tcp_flags: 2,
        icmp_type: 0,
        icmp_code: 0,
        vlan: 0,
        length: 60,
        ifindex: 2,
        interface: "eth0".into(),
        plan: 1,
        rule: None,
    }
}

fn all(rows: &Rows) -> Vec<(Key, Row)> {
    rows.sorted().collect()
}

#[test]
fn one_row_for_a_peer_and_a_service_with_its_count_and_times() {
    let mut ledger = Ledger::default();
    for seconds in [10, 30, 20] {
        ledger.note(&record(Told::Audit, 7, 22, seconds));
    }
    ledger.note(&record(Told::Allow, 8, 22, 40));
    ledger.note(&record(Told::Deny, 7, 22, 41));
    let audited = all(&ledger.audited);
    let [(key, row)] = audited[..] else {
        panic!("{audited:?}");
    };
    assert_eq!(
        (key.egress, key.remote, key.service),
        (false, IpAddr::from([0, 0, 0, 7]), 22)
    );
    assert_eq!(
        (row.first, row.last, row.count, row.known),
        (10, 30, 3, false)
    );
    assert_eq!(row.local, IpAddr::from([10, 0, 0, 10]));
    assert_eq!(all(&ledger.dropped).len(), 1);
    let seen = |now, age| ledger.audited_since(now, age).len();
    assert_eq!((seen(130, 100), seen(131, 100)), (1, 0));
    ledger.forget_old(30 + OLDEST);
    assert_eq!(all(&ledger.audited).len(), 1);
    ledger.forget_old(31 + OLDEST);
    assert_eq!(all(&ledger.audited), []);
    assert_eq!(all(&ledger.dropped).len(), 1);
}

#[test]
fn what_the_node_began_and_icmp_have_rows_of_their_own() {
    let mut ledger = Ledger::default();
    ledger.note(&Record {
        ingress: false,
        ..record(Told::Audit, 7, 443, 1)
    });
    ledger.note(&Record {
        protocol: ICMP,
        icmp_type: 8,
        ..record(Told::Audit, 7, 0, 2)
    });
    let audited = all(&ledger.audited);
    assert_eq!((audited[0].0.protocol, audited[0].0.service), (ICMP, 8));
    assert!(audited[1].0.egress);
    assert_eq!(audited[1].0.remote, IpAddr::from([10, 0, 0, 10]));
    assert_eq!(audited[1].1.local, IpAddr::from([0, 0, 0, 7]));
}

#[test]
fn a_scan_displaces_itself_and_neither_peers_that_are_known_nor_who_comes_again() {
    let mut ledger = Ledger::default();
    // A node of the cluster that came once, and a stranger who comes every day.
    let mut node = record(Told::Audit, 1, 9100, 0);
    node.source.identity = Identity::host();
    ledger.note(&node);
    ledger.note(&record(Told::Audit, 2, 22, 0));
    ledger.note(&record(Told::Audit, 2, 22, 86_400));
    ledger.note(&record(Told::Deny, 3, 22, 0));
    let scans = 5 * MOST as u32;
    for number in 0..scans {
        ledger.note(&record(
            Told::Audit,
            1_000 + number,
            23,
            86_400 + u64::from(number),
        ));
        assert!(ledger.audited.rows.len() <= MOST);
    }
    let kept = all(&ledger.audited);
    assert_eq!((kept[0].0.service, kept[1].0.service), (9100, 22));
    assert_eq!(
        ledger.audited.displaced() + kept.len() as u64,
        u64::from(scans) + 2
    );
    // The last of the scan are there, the first are not.
    let last = IpAddr::from(Ipv4Addr::from(999 + scans));
    assert!(kept.iter().any(|(key, _)| key.remote == last));
    assert_eq!(
        (all(&ledger.dropped).len(), ledger.dropped.displaced()),
        (1, 0)
    );
}
