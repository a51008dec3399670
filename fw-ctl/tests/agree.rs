//! Engines that must agree on every input: random policies, inventories and flows.
//!
//! `FW_AGREE_CASES` says how many scenarios are drawn. Each run draws others; a
//! failure prints the scenario that it was shrunk to, as texts.

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::corpus::describe;
use common::engines::judge_with_all;
use common::guest;
use common::scenario::{Scenario, scenarios};
use common::{context, context_with, options};
use fw_ctl::compile::Enforcement;
use fw_ctl::engine::{Context, Engine, Flow, Judgement, read_flows};
use fw_ctl::policy::rules::CidrMatchMode;
use fw_ctl::reference::Reference;
use ipnet::IpNet;
use proptest::prelude::*;

/// Scenarios of one run unless `FW_AGREE_CASES` says otherwise.
const CASES: u32 = 256;
/// Of a run in a guest.
const CASES_IN_GUEST: u32 = 4;

fn cases() -> u32 {
    match std::env::var("FW_AGREE_CASES") {
        Ok(number) => number
            .parse()
            .unwrap_or_else(|_| panic!("FW_AGREE_CASES is {number:?}, which is no number")),
        Err(_) => CASES,
    }
}

fn judge(scenario: &Scenario) -> Result<Vec<Judgement>, TestCaseError> {
    let context = scenario.context();
    let flows = scenario.read_flows(&context);
    judge_alike(context, &flows)
}

/// Every engine must say what the reference says, to the rule that decides.
fn judge_alike(context: Context, flows: &[Flow]) -> Result<Vec<Judgement>, TestCaseError> {
    let plan = context
        .plan()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let expected = judgements(&mut Reference::new(context), flows)?;
    for (name, found) in judge_with_all(plan, flows) {
        for ((flow, expected), found) in flows.iter().zip(&expected).zip(&found) {
            prop_assert_eq!(found, expected, "{}: {}", name, describe(flow));
        }
    }
    Ok(expected)
}

fn judgements(engine: &mut dyn Engine, flows: &[Flow]) -> Result<Vec<Judgement>, TestCaseError> {
    engine
        .judge(flows)
        .map_err(|error| TestCaseError::fail(error.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engines_agree(scenario in scenarios()) {
        judge(&scenario)?;
    }
}

/// Random scenarios in other kernels; a few, as they are slow there.
#[test]
fn engines_agree_in_guests() {
    let cases = format!("FW_AGREE_CASES={}", CASES_IN_GUEST * guest::effort());
    guest::passes_in_guests("engines_agree", &cases, |guest| guest);
}

/// Agreement on nothing but "no policy" would prove little.
#[test]
fn the_random_scenarios_reach_every_reason() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..100 {
        let scenario = scenarios().new_tree(&mut runner).unwrap().current();
        for judgement in judge(&scenario).unwrap() {
            *seen.entry(judgement.reason.name()).or_default() += 1;
        }
    }
    for reason in [
        "default-deny",
        "deny-rule",
        "allow-rule",
        "default-allow",
        "no-policy",
        "builtin",
        "failsafe",
        "vlan-not-admitted",
    ] {
        assert!(
            seen.get(reason).is_some_and(|count| *count >= 10),
            "{seen:?}"
        );
    }
}

/// What holds in some VLANs only, flow by flow, in every engine: written by hand, because
/// the random scenarios only show that the engines are wrong together or not at all.
#[test]
fn a_policy_for_some_vlans_holds_in_these() {
    const POLICIES: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: storage, annotations: {fw-ctl.io/vlans: '212,300-310'}}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDR: [198.51.100.0/24]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: everywhere}
spec:
  nodeSelector: {}
  enableDefaultDeny: {ingress: false}
  ingressDeny:
  - toPorts: [{ports: [{port: '23', protocol: TCP}]}]
";
    const INVENTORY: &str = "\
{kind: Node, metadata: {name: node}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
";
    let rows = [
        (None, 22, "203.0.113.7", "everywhere default-allow"),
        (Some(0), 22, "203.0.113.7", "everywhere default-allow"),
        (Some(211), 22, "203.0.113.7", "everywhere default-allow"),
        (Some(212), 22, "203.0.113.7", "storage default-deny"),
        (Some(300), 22, "203.0.113.7", "storage default-deny"),
        (Some(310), 22, "203.0.113.7", "storage default-deny"),
        (Some(311), 22, "203.0.113.7", "vlan-not-admitted"),
        (Some(212), 22, "198.51.100.7", "storage allow-rule"),
        (Some(212), 23, "198.51.100.7", "everywhere deny-rule"),
        (Some(7), 23, "198.51.100.7", "everywhere deny-rule"),
        (Some(4_094), 23, "198.51.100.7", "vlan-not-admitted"),
    ];
    let mut options = options(Enforcement::Default, CidrMatchMode::World);
    options.vlans = Some("untagged,1-310".parse().unwrap());
    let context = context(POLICIES, INVENTORY, options).unwrap();
    let flows: String = rows
        .iter()
        .map(|(vlan, port, peer, _)| {
            let vlan = vlan.map_or(String::new(), |vlan: u16| format!(",\"vlan\":{vlan}"));
            format!(
                "{{\"src\":\"{peer}\",\"dst\":\"10.0.0.1\",\"proto\":\"TCP\",\"dport\":{port}{vlan}}}\n"
            )
        })
        .collect();
    let flows = read_flows(&flows, &context.identities).unwrap();
    assert!(context.plan().unwrap().needs_vlan());
    let judgements = judge_alike(context, &flows).unwrap();
    for ((vlan, port, peer, expected), found) in rows.iter().zip(&judgements) {
        let found = format!("{} {}", found.policy, found.reason.name());
        assert_eq!(found.trim(), *expected, "{peer} {port} in {vlan:?}");
    }
}

/// Lists of thousands of prefixes that lie in each other and overlap, with exceptions,
/// and of which some have expired: at the edges of the prefixes, in every engine.
#[test]
fn large_lists_are_judged_alike() {
    const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: p}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDRSet: [{cidrGroupRef: one}]
    toPorts: [{ports: [{port: '22', protocol: TCP}]}]
  - fromCIDRSet: [{cidrGroupRef: two, except: [10.64.0.0/10, '2001:db8:8000::/33']}]
    toPorts: [{ports: [{port: '22', protocol: TCP}, {port: '80', protocol: TCP}]}]
  ingressDeny:
  - fromCIDRSet: [{cidrGroupRef: three}]
    toPorts: [{ports: [{port: '80', protocol: TCP}]}]
";
    const INVENTORY: &str = "\
{kind: Node, metadata: {name: node}, status: {addresses: [
  {type: InternalIP, address: 192.0.2.1}, {type: InternalIP, address: 'fd00::1'}]}}
";
    let mut seed = 1_u64;
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut flows = String::new();
    let mut list = |entries: usize| {
        let mut text = String::new();
        for _ in 0..entries {
            let (prefix, node) = if random(3) > 0 {
                let address = Ipv4Addr::from_bits(0x0a00_0000 | random(1 << 24) as u32);
                let length = [32, 32, 24, 28, 16][random(5) as usize];
                (IpNet::new(address.into(), length), "192.0.2.1")
            } else {
                let low = u128::from(random(1 << 30)) << 66 | u128::from(random(4));
                let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | low);
                let length = [128, 64, 48, 127, 40][random(5) as usize];
                (IpNet::new(address.into(), length), "fd00::1")
            };
            let prefix = prefix.unwrap().trunc();
            let until = ["", "", " until=1970-01-01", " until=1971-01-01"][random(4) as usize];
            text += &format!("{prefix}{until}\n");
            if random(8) == 0 {
                for peer in edges(prefix) {
                    let port = [22, 80][random(2) as usize];
                    flows += &format!(
                        "{{\"src\":\"{peer}\",\"dst\":\"{node}\",\"proto\":\"TCP\",\"dport\":{port}}}\n"
                    );
                }
            }
        }
        text
    };
    let (one, two, three) = (list(3_000), list(2_000), list(1_000));
    let lists = [
        ("one.cidr", one.as_str()),
        ("two.netset", &two),
        ("three.ipset", &three),
    ];
    let options = options(Enforcement::Default, CidrMatchMode::World);
    let context = context_with(POLICY, INVENTORY, &lists, options).unwrap();
    let flows = read_flows(&flows, &context.identities).unwrap();
    let judgements = judge_alike(context, &flows).unwrap();
    for (allow, rule) in [
        (true, "ingress[0]"),
        (true, "ingress[1]"),
        (false, "ingressDeny[0]"),
        (false, "ingress[0]"),
    ] {
        let said = |one: &&Judgement| one.allow == allow && one.rule == rule;
        let count = judgements.iter().filter(said).count();
        assert!(count > 50, "{allow} {rule}: {count} of {}", flows.len());
    }
}

/// First and last address of a prefix, and their neighbours.
fn edges(prefix: IpNet) -> Vec<IpAddr> {
    match prefix {
        IpNet::V4(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            let edges = [first - 1, first, last, last + 1];
            edges.map(|bits| Ipv4Addr::from_bits(bits).into()).to_vec()
        }
        IpNet::V6(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            let edges = [first - 1, first, last, last + 1];
            edges.map(|bits| Ipv6Addr::from_bits(bits).into()).to_vec()
        }
    }
}

/// Every IP protocol number, in both families: judged alike, or no flow at all
/// (extension headers of IPv6, the ICMP of the other family).
#[test]
fn every_protocol_is_judged_alike() {
    const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: p}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDR: [192.0.2.0/24, 2001:db8::/32]
    toPorts: [{ports: [{port: '22', protocol: TCP}, {port: '0', protocol: GRE}]}]
  - fromCIDR: [198.51.100.0/24, 2001:db9::/32]
";
    const INVENTORY: &str = "\
{kind: Node, metadata: {name: node}, status: {addresses: [
  {type: InternalIP, address: 10.0.0.1}, {type: InternalIP, address: 'fd00::1'}]}}
";
    let options = options(Enforcement::Default, CidrMatchMode::World);
    let context = context(POLICY, INVENTORY, options).unwrap();
    let mut judged = String::new();
    for (family, peers, node, refused) in [
        (4, ["192.0.2.7", "198.51.100.7"], "10.0.0.1", &[58][..]),
        (
            6,
            ["2001:db8::7", "2001:db9::7"],
            "fd00::1",
            &[0, 1, 43, 44, 60],
        ),
    ] {
        let mut not_read = Vec::new();
        for protocol in 0..=255 {
            let more = match protocol {
                6 | 17 | 132 => ",\"dport\":22",
                1 | 58 => ",\"icmp_type\":8",
                _ => "",
            };
            for peer in peers {
                let line = format!(
                    "{{\"src\":\"{peer}\",\"dst\":\"{node}\",\"proto\":{protocol}{more}}}\n"
                );
                match read_flows(&line, &context.identities) {
                    Ok(_) => judged += &line,
                    Err(_) => not_read.push(protocol),
                }
            }
        }
        not_read.dedup();
        assert_eq!(not_read, refused, "IPv{family}");
    }
    let flows = read_flows(&judged, &context.identities).unwrap();
    let judgements = judge_alike(context, &flows).unwrap();
    let allowed = judgements.iter().filter(|one| one.allow).count();
    // All from the second prefix of a family, TCP and GRE from the first.
    assert_eq!(allowed, (255 + 2) + (251 + 2));
}
