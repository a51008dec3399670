//! The lines against those that Cilium prints.

use std::sync::Arc;

use super::super::{Identity, RuleName};
use super::*;

pub fn record() -> Record {
    let endpoint = |address: &str, port, number, label: &str| Endpoint {
        address: address.parse().unwrap(),
        port,
        identity: Arc::new(Identity {
            number,
            labels: vec![label.into()],
        }),
        pod: Box::default(),
    };
    Record {
        number: 0,
        time: 1_795_233_983_000_000_123,
        node: "default/node1".into(),
        node_labels: ["rack=b".to_owned(), "zone=1".to_owned()].into(),
        told: Told::Audit,
        reason: Some(0),
        ingress: true,
        source: endpoint("10.0.2.2", 47_500, 2, "reserved:world"),
        destination: endpoint("10.0.2.15", 6_443, 1, "reserved:host"),
        family: 4,
        protocol: 6,
        tcp_flags: 0x02,
        icmp_type: 0,
        icmp_code: 0,
        vlan: 0,
        length: 74,
        ifindex: 2,
        interface: "eth0".into(),
        plan: 7,
        rule: Some(Arc::new(RuleName {
            policy: "host-all".into(),
            rule: "default-deny".into(),
            origin: "host-all.yaml:9".into(),
            match_type: "none".into(),
            log: String::new(),
        })),
    }
}

/// The flow hash differs from Cilium's, which is the kernel's: leave it out.
fn without_hash(line: &str) -> String {
    let (before, after) = line.split_once("flow 0x").unwrap();
    let rest = after.split_once(' ').unwrap().1;
    format!("{before}flow HASH {rest}")
}

#[test]
fn verdict_lines_are_ciliums() {
    let audit = record();
    assert_eq!(
        without_hash(&policy_verdict(&audit, false)),
        "Policy verdict log: flow HASH local EP ID 1, remote ID world, proto 6, ingress, action audit, auth: disabled, match none, 10.0.2.2:47500 -> 10.0.2.15:6443 tcp SYN"
    );
    let mut allow = record();
    allow.told = Told::Allow;
    allow.reason = None;
    allow.ingress = false;
    Arc::make_mut(&mut allow.destination.identity).number = 6;
    allow.tcp_flags = 0x12;
    Arc::make_mut(allow.rule.as_mut().unwrap()).match_type = "L3-Only".into();
    assert_eq!(
        without_hash(&policy_verdict(&allow, false)),
        "Policy verdict log: flow HASH local EP ID 1, remote ID remote-node, proto 6, egress, action allow, auth: disabled, match L3-Only, 10.0.2.2:47500 -> 10.0.2.15:6443 tcp SYN, ACK"
    );
    assert!(policy_verdict(&allow, true).contains("remote ID 6,"));
    Arc::make_mut(&mut allow.destination.identity).number = 4_711;
    assert!(policy_verdict(&allow, false).contains("remote ID 4711,"));
}

#[test]
fn drop_lines_are_ciliums() {
    let mut dropped = record();
    dropped.told = Told::Deny;
    let line = without_hash(&drop_line(&dropped, false));
    assert_eq!(
        line,
        "xx drop (Policy denied) flow HASH to endpoint 0, ifindex 2, file fw-ctl:0, , identity world->host: 10.0.2.2:47500 -> 10.0.2.15:6443 tcp SYN"
    );
    dropped.reason = Some(1);
    assert!(drop_line(&dropped, false).starts_with("xx drop (Policy denied by denylist) "));
}

#[test]
fn summaries() {
    let table: [(u8, &str, &str, u8, &str); 7] = [
        (
            17,
            "10.0.0.1",
            "10.0.0.2",
            0,
            "10.0.0.1:47500 -> 10.0.0.2:6443 udp",
        ),
        (
            17,
            "fd00::1",
            "fd00::2",
            0,
            "[fd00::1]:47500 -> [fd00::2]:6443 udp",
        ),
        (
            1,
            "10.0.0.1",
            "10.0.0.2",
            8,
            "10.0.0.1 -> 10.0.0.2 icmp EchoRequest",
        ),
        (
            58,
            "fd00::1",
            "fd00::2",
            128,
            "fd00::1 -> fd00::2 icmp EchoRequest",
        ),
        (112, "10.0.0.1", "10.0.0.2", 0, "10.0.0.1 -> 10.0.0.2 vrrp"),
        (47, "10.0.0.1", "10.0.0.2", 0, "10.0.0.1 -> 10.0.0.2"),
        (
            132,
            "10.0.0.1",
            "10.0.0.2",
            0,
            "10.0.0.1:47500 -> 10.0.0.2:6443 sctp",
        ),
    ];
    for (protocol, source, destination, icmp_type, expected) in table {
        let mut record = record();
        record.protocol = protocol;
        record.source.address = source.parse().unwrap();
        record.destination.address = destination.parse().unwrap();
        record.icmp_type = icmp_type;
        assert_eq!(summary(&record), expected);
    }
    let mut record = record();
    record.tcp_flags = 0;
    assert_eq!(summary(&record), "10.0.2.2:47500 -> 10.0.2.15:6443 tcp");
}

#[test]
fn packets_of_one_flow_share_a_hash() {
    let hash = |line: String| {
        line.split("flow ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let one = record();
    let mut other_flags = record();
    other_flags.tcp_flags = 0x10;
    let mut other_port = record();
    other_port.source.port += 1;
    let of = |record: &Record| hash(policy_verdict(record, false));
    assert_eq!(of(&one), of(&other_flags));
    assert_ne!(of(&one), of(&other_port));
}

#[test]
fn arp_is_told_by_who_asks_for_whom() {
    let mut arp = record();
    (arp.protocol, arp.reason) = (0, Some(DropReason::ArpOff as u8));
    (arp.source.port, arp.destination.port) = (0, 0);
    let (asks, asked) = (arp.source.address, arp.destination.address);
    assert_eq!(summary(&arp), format!("{asks} -> {asked} arp"));
    assert!(drop_line(&arp, false).starts_with("xx drop (Unsupported L2 protocol: ARP is"));
    arp.family = 0;
    assert_eq!(summary(&arp), "[unknown]");
}

#[test]
fn the_explanation_names_the_rule() {
    assert_eq!(
        explanation(&record()),
        "   default-deny, by default-deny of policy host-all (host-all.yaml:9), plan 7, eth0, 74 bytes"
    );
    let mut malformed = record();
    malformed.reason = Some(2);
    malformed.vlan = 100;
    assert_eq!(
        explanation(&malformed),
        "   invalid-packet, no policy asked, plan 7, eth0, vlan 100, 74 bytes"
    );
}
