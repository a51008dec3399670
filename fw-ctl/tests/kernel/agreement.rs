//! Any plan, any flow: what the plan says is what the model, the XDP program and
//! the TC programs do.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fw_common::wire::{Direction, VLANS, VerdictWord};
use fw_ctl::compile::plan::{DirectionPlan, Mode, Plan, PlanRule};
use fw_ctl::datapath::Hook;
use fw_ctl::engine::{Datapath, Engine, Flow, Table};
use fw_ctl::lookup::Runs;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::in_sandbox;

const PLANS: u32 = 40;
const FLOWS: usize = 60;
const RULES: u16 = 12;
/// TCP, UDP, SCTP, both ICMPs in both families, and some without a parser.
const PROTOCOLS: [u8; 10] = [6, 17, 132, 1, 58, 2, 4, 47, 89, 112];

#[test]
fn every_engine_does_what_the_plan_says() {
    in_sandbox(|| {
        let empty = || crate::support::plan(&[], &[]);
        let engines = RefCell::new([
            ("model", Datapath::model(empty())),
            ("xdp", Datapath::kernel(empty(), Hook::Xdp).unwrap()),
            ("tc", Datapath::kernel(empty(), Hook::TcIngress).unwrap()),
        ]);
        let config = Config {
            cases: PLANS,
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new(config)
            .run(&(plans(), vec(flows(), FLOWS)), |(plan, flows)| {
                let expected = Table::new(plan.clone()).judge(&flows).unwrap();
                for (name, engine) in engines.borrow_mut().iter_mut() {
                    engine.replace_plan(plan.clone()).unwrap();
                    let found = engine.judge(&flows).unwrap();
                    for ((flow, expected), found) in flows.iter().zip(&expected).zip(&found) {
                        prop_assert_eq!(found, expected, "{}: {:?}", name, flow);
                    }
                }
                Ok(())
            })
            .unwrap();
    });
}

/// Few networks, nested, so that prefixes and flows meet.
fn v4() -> impl Strategy<Value = Ipv4Addr> {
    (0_u8..3, 0_u8..4, any::<u8>()).prop_map(|(b, c, d)| Ipv4Addr::new(10, b, c * 64, d))
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    (0_u16..3, 0_u16..4, any::<u16>())
        .prop_map(|(b, c, d)| Ipv6Addr::new(0x2001, 0xdb8, b, c << 14, 0, 0, 0, d))
}

fn prefixes() -> impl Strategy<Value = IpNet> {
    let v4 = (v4(), 0_u8..=32)
        .prop_map(|(address, length)| IpNet::V4(Ipv4Net::new(address, length).unwrap().trunc()));
    let v6 = (v6(), 0_u8..=128)
        .prop_map(|(address, length)| IpNet::V6(Ipv6Net::new(address, length).unwrap().trunc()));
    prop_oneof![v4, v6]
}

fn plans() -> impl Strategy<Value = Plan> {
    let mode = prop_oneof![Just(Mode::Enforce), Just(Mode::Audit)];
    let prefixes = vec((prefixes(), any::<u16>()), 0..30);
    (1_u32..40, mode, prefixes, vlans()).prop_flat_map(|(rows, mode, prefixes, vlans)| {
        let all = rows * (1 + u32::from(vlans.iter().copied().max().unwrap_or(0)));
        (directions(all), directions(all)).prop_map(move |(ingress, egress)| Plan {
            mode,
            builtins: 0,
            peers: peers(&prefixes, rows),
            rows,
            vlans: vlans.clone(),
            directions: [ingress, egress],
            rules: (0..RULES).map(rule).collect(),
        })
    })
}

/// Up to three classes of VLANs; none in a third of the plans.
fn vlans() -> impl Strategy<Value = Vec<u16>> {
    let classes = (1_u64..=3, any::<u64>()).prop_map(|(classes, seed)| {
        let mut next = xorshift(seed | 1);
        let mut class = || u16::try_from(next() % classes).unwrap();
        (0..VLANS).map(|_| class()).collect()
    });
    prop_oneof![1 => Just(Vec::new()), 2 => classes]
}

fn peers(prefixes: &[(IpNet, u16)], rows: u32) -> Runs {
    let everything = ["0.0.0.0/0", "::/0"].map(|net| (net.parse().unwrap(), 0));
    let mut peers: Vec<(IpNet, u16)> = prefixes
        .iter()
        .copied()
        .chain(everything)
        .map(|(net, class)| (net, class % rows as u16))
        .collect();
    peers.sort();
    peers.dedup_by_key(|(net, _)| *net);
    Runs::of(&peers)
}

fn rule(id: u16) -> PlanRule {
    PlanRule {
        policy: format!("policy-{id}"),
        rule: format!("rule-{id}"),
        origin: String::new(),
        direction: None,
        allow: true,
        match_type: "all",
        rate: None,
        vlans: None,
        log: String::new(),
    }
}

/// Up to 3 × 40 × 300 cells: nine blocks of the matrix.
fn directions(rows: u32) -> impl Strategy<Value = DirectionPlan> {
    (1_u32..300, any::<u64>()).prop_map(move |(columns, seed)| {
        let mut next = xorshift(seed | 1);
        let mut classes = |length: usize| -> Vec<u16> {
            (0..length)
                .map(|_| (next() % u64::from(columns)) as u16)
                .collect()
        };
        let ports = [classes(65_536), classes(65_536), classes(65_536)];
        let icmp = [classes(256), classes(256)];
        let protocols = classes(256);
        let cells = (0..rows * columns).map(|_| word(next())).collect();
        DirectionPlan {
            columns,
            ports,
            icmp,
            protocols,
            cells,
        }
    })
}

fn word(random: u64) -> VerdictWord {
    let rule = (random >> 8) as u16 % RULES;
    match random % 6 {
        0 => VerdictWord::deny(rule),
        1 => VerdictWord::default_deny(rule),
        2 => VerdictWord::failsafe(rule.max(1)),
        3 => VerdictWord::unadmitted(rule),
        _ => VerdictWord::allow(rule),
    }
}

/// Fills tables that would be too large to be drawn (Marsaglia 2003).
fn xorshift(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    }
}

fn flows() -> impl Strategy<Value = Flow> {
    let addresses = prop_oneof![
        (v4(), v4()).prop_map(|(a, b)| (IpAddr::V4(a), IpAddr::V4(b))),
        (v6(), v6()).prop_map(|(a, b)| (IpAddr::V6(a), IpAddr::V6(b))),
    ];
    let directions = prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)];
    let vlan = prop_oneof![Just(None), (1_u16..4_095).prop_map(Some)];
    let protocols = proptest::sample::select(PROTOCOLS.as_slice());
    let numbers = (any::<(u16, u16)>(), any::<(u8, u8)>());
    (addresses, directions, vlan, protocols, numbers).prop_map(
        |((source, destination), direction, vlan, protocol, (ports, icmp))| {
            let has_ports = matches!(protocol, 6 | 17 | 132);
            let is_icmp = matches!(protocol, 1 | 58);
            Flow {
                id: "flow".into(),
                source,
                destination,
                protocol,
                source_port: if has_ports { ports.0 } else { 0 },
                destination_port: if has_ports { ports.1 } else { 0 },
                icmp_type: if is_icmp { icmp.0 } else { 0 },
                icmp_code: if is_icmp { icmp.1 } else { 0 },
                vlan,
                direction,
                expect: None,
            }
        },
    )
}
