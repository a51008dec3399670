//! Large rule sets and inventories: compiled in a second where optimised, and
//! still deciding right. The limit here only catches work that grows with rules
//! times pods; times belong to the benchmarks.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests may, and say how long it took"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::{allowing, cidr, group};
use fw_common::wire::{Address, Direction};
use fw_ctl::compile::plan::Plan;
use fw_ctl::diagnostic::Span;
use fw_ctl::inventory::Identities;
use fw_ctl::lists::{List, Prefixes};
use fw_ctl::lookup::build;
use fw_ctl::policy::label::{K8S, Label, LabelKey, LabelSet};
use fw_ctl::policy::rules::{PeerSelector, Peers, RuleSet, Service};
use fw_ctl::policy::schema::{LabelSelector, Operator, Requirement};
use ipnet::IpNet;

/// What an unoptimised build on a busy machine may take; the work of a naive
/// compiler (100 million trials of a selector) takes far longer there.
const LIMIT: Duration = Duration::from_mins(1);

fn timed(rules: &RuleSet, identities: &Identities) -> Plan {
    let start = Instant::now();
    let plan = bench::plan(rules, identities);
    let took = start.elapsed();
    println!("{plan}: {took:?}");
    assert!(took < LIMIT, "{took:?}");
    plan
}

fn decides(plan: &Plan, peer: [u8; 4], port: u16) -> Option<&str> {
    let service = Service::Port { protocol: 6, port };
    let word = plan.lookup(Direction::Ingress, 0, peer.into(), service);
    word.is_allow().then(|| plan.rule(word).rule.as_str())
}

fn address(n: u32) -> [u8; 4] {
    (0x0a00_0000 + n).to_be_bytes()
}

fn app(n: u32) -> String {
    format!("app-{n}")
}

#[test]
fn ten_thousand_rules_and_ten_thousand_pods() {
    const APPS: u32 = 500;
    let identities = Identities::new((0..10_000).map(|n| {
        let labels: LabelSet = [
            Label::new(K8S, "app", app(n % APPS)),
            Label::new(K8S, "pod", n.to_string()),
        ]
        .into_iter()
        .collect();
        let prefix = ipnet::IpNet::from(std::net::IpAddr::from(address(n)));
        (prefix, Arc::new(labels))
    }));
    let selector = |n: u32| {
        let requirement = Requirement {
            key: LabelKey::parse("app"),
            operator: Operator::In(vec![app(n)]),
            span: Span::default(),
        };
        PeerSelector::Labels(LabelSelector {
            span: Span::default(),
            requirements: vec![requirement],
        })
    };
    let list = (0..10_000_u32).map(|n| {
        let port = 1_000 + u16::try_from(n / APPS).unwrap();
        (Peers::Only(vec![selector(n % APPS)]), port)
    });
    let plan = timed(&allowing(list), &identities);
    assert_eq!(plan.rows, APPS + 1);
    assert_eq!(decides(&plan, address(7_042), 1_003), Some("ingress[1542]"));
    assert_eq!(decides(&plan, address(7_042), 1_020), None);
    assert_eq!(decides(&plan, address(10_000), 1_003), None);
}

fn block(n: u32) -> PeerSelector {
    cidr(std::net::IpAddr::from(address(n * 2)).into())
}

#[test]
fn ten_thousand_rules_with_a_prefix_each() {
    let list = (0..10_000).map(|n| (Peers::Only(vec![block(n)]), 22));
    let plan = timed(&allowing(list), &Identities::default());
    assert_eq!((plan.rows, plan.directions[0].columns), (10_001, 2));
    assert_eq!(decides(&plan, address(2 * 77), 22), Some("ingress[77]"));
    assert_eq!(decides(&plan, address(2 * 77 + 1), 22), None);
}

#[test]
fn one_rule_with_a_hundred_thousand_prefixes() {
    let all = Peers::Only((0..100_000).map(block).collect());
    let plan = timed(&allowing([(all, 22)]), &Identities::default());
    assert_eq!(plan.rows, 2);
    assert_eq!(plan.peers.len(), 200_002);
    assert_eq!(decides(&plan, address(2 * 99_999), 22), Some("ingress[0]"));
}

/// From the text of a list to the tables of the kernel.
#[test]
fn a_list_of_a_million_and_a_half_prefixes() {
    let v4 = |n: u32| IpAddr::from(Ipv4Addr::from_bits(n.wrapping_mul(0x9e37_79b1)));
    let v6 = |n: u32| {
        let high = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3 | 1 << 61;
        IpAddr::from(Ipv6Addr::from_bits(u128::from(high) << 64))
    };
    let block = |address, length| IpNet::new(address, length).unwrap().trunc();
    let v4_list = (0..1_000_000).map(|n| block(v4(n), if n % 4 == 0 { 28 } else { 32 }));
    let v6_list = (0..500_000).map(|n| block(v6(n), [48, 56, 64, 128][n as usize % 4]));
    let text: String = v4_list
        .chain(v6_list)
        .map(|net| format!("{net}\n"))
        .collect();

    let start = Instant::now();
    let list = List::parse("list.netset", text.as_bytes()).unwrap();
    println!(
        "{} MB read in {:?}",
        text.len() / 1_000_000,
        start.elapsed()
    );
    assert!(list.warnings.is_empty());
    assert_eq!(list.prefixes.len(), 1_500_000);

    let all = Peers::Only(vec![group(Prefixes::clone(&list.prefixes))]);
    let plan = timed(&allowing([(all, 22)]), &Identities::default());
    assert_eq!(plan.rows, 2);
    assert!(plan.peers.len() > 2_800_000, "{}", plan.peers.len());

    let start = Instant::now();
    let tables = build(&plan.peers).unwrap();
    let mebibytes = tables.words.len() * size_of::<u64>() / (1 << 20);
    println!("laid out in {:?}: {mebibytes} MiB", start.elapsed());
    assert!(
        mebibytes < 32,
        "{mebibytes} MiB: two generations exceed 64 MiB"
    );
    for n in (0..500_000).step_by(1_009) {
        let found = [
            fw_common::lookup::v4(&tables, &Address::from(v4(n))),
            fw_common::lookup::v6(&tables, &Address::from(v6(n))),
        ];
        let class = u32::from(plan.peer_class(v4(n)));
        assert_eq!(found, [Some(class), Some(class)], "{n}");
    }
}
