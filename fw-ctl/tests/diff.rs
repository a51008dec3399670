//! What `policy diff` says of two plans, against what the policies say of each flow.
//!
//! `FW_AGREE_CASES` says how many pairs are drawn.

#![allow(clippy::unwrap_used, reason = "tests may")]

mod common;

use common::corpus::describe;
use common::scenario::{Scenario, scenarios};
use fw_common::wire::Direction;
use fw_ctl::compile::plan::Plan;
use fw_ctl::diff::{Passage, effect, find};
use fw_ctl::engine::{Context, Engine, Flow};
use fw_ctl::policy::rules::{ICMP, ICMPV6, PORT_PROTOCOLS, Service};
use fw_ctl::reference::Reference;
use proptest::prelude::*;

/// Pairs of one run unless `FW_AGREE_CASES` says otherwise.
const CASES: u32 = 64;

fn cases() -> u32 {
    let said = std::env::var("FW_AGREE_CASES");
    said.map_or(CASES, |number| number.parse().unwrap())
}

/// Two nodes that have some things in common: else nearly everything would differ.
fn pairs() -> impl Strategy<Value = (Scenario, Scenario)> {
    (scenarios(), scenarios(), any::<[bool; 6]>()).prop_map(|(one, other, differs)| {
        let mut second = one.clone();
        let [policies, inventory, list, surroundings, failsafe, vlans] = differs;
        if policies {
            second.policies = other.policies;
        }
        if inventory {
            second.inventory = other.inventory;
        }
        if list {
            second.list = other.list;
        }
        if surroundings {
            second.enforcement = other.enforcement;
            second.cidr_match_mode = other.cidr_match_mode;
        }
        if failsafe {
            second.failsafe = other.failsafe;
        }
        if vlans {
            second.vlans = other.vlans;
        }
        second.flows = other.flows;
        (one, second)
    })
}

fn service(flow: &Flow) -> Service {
    match flow.protocol {
        ICMP => Service::Icmp(flow.icmp_type),
        ICMPV6 => Service::Icmpv6(flow.icmp_type),
        protocol if PORT_PROTOCOLS.contains(&protocol) => Service::Port {
            protocol,
            port: flow.destination_port,
        },
        protocol => Service::Protocol(protocol),
    }
}

fn judged(context: &Context, flows: &[Flow]) -> Vec<bool> {
    let judgements = Reference::new(context.clone()).judge(flows).unwrap();
    judgements.iter().map(|judgement| judgement.allow).collect()
}

/// The passage by the table; whether it is one at all is checked by the policies.
fn passage(plan: &Plan, flow: &Flow, peer: std::net::IpAddr) -> Passage {
    let vlan = flow.vlan.unwrap_or(0);
    let word = plan.lookup(flow.direction, vlan, peer, service(flow));
    match (word.is_allow(), word.is_limited()) {
        (false, _) => Passage::No,
        (true, false) => Passage::Yes,
        (true, true) => Passage::UpTo(plan.rule(word).rate.unwrap()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Gains and losses are where the policies of both say different things of a flow, and
    /// nowhere else.
    #[test]
    fn the_effect_is_the_difference_of_the_verdicts((mut one, mut other) in pairs()) {
        // Built-ins come before policy, and are compared by name.
        (one.builtins, other.builtins) = (0, 0);
        let contexts = [one.context(), other.context()];
        let mut flows = one.read_flows(&contexts[0]);
        flows.extend(other.read_flows(&contexts[0]));
        let plans = contexts.each_ref().map(|context| context.plan().unwrap());
        let changes = effect(&plans[0], &plans[1]);
        let [was, will] = contexts.each_ref().map(|context| judged(context, &flows));
        for (flow, (was, will)) in flows.iter().zip(was.into_iter().zip(will)) {
            let peer = match flow.direction {
                Direction::Ingress => flow.source,
                Direction::Egress => flow.destination,
            };
            let vlan = flow.vlan.unwrap_or(0);
            let found = find(&changes, flow.direction, vlan, peer, service(flow));
            let said = found.map_or((was, was), |change| (!change.gains(), !change.loses()));
            prop_assert_eq!(said, (was, will), "{}", describe(flow));
            let [from, to] = plans.each_ref().map(|plan| passage(plan, flow, peer));
            match found {
                Some(change) => prop_assert_eq!((change.from, change.to), (from, to)),
                None => prop_assert_eq!(from, to),
            }
            let again = changes.iter().filter(|change| {
                find(std::slice::from_ref(change), flow.direction, vlan, peer, service(flow)).is_some()
            });
            prop_assert!(again.count() <= 1, "told twice: {}", describe(flow));
        }
        prop_assert_eq!(effect(&plans[0], &plans[0]), vec![]);
        let back = effect(&plans[1], &plans[0]);
        prop_assert_eq!(back.len(), changes.len());
        for change in &changes {
            let reverse = back.iter().any(|other| {
                (other.from, other.to) == (change.to, change.from)
                    && (other.direction, &other.vlans) == (change.direction, &change.vlans)
                    && (&other.services, &other.peers) == (&change.services, &change.peers)
            });
            prop_assert!(reverse, "{:?}", change);
        }
    }
}

/// Pairs that never differ, or always, would prove little.
#[test]
fn the_random_pairs_gain_and_lose() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut seen = [0; 3];
    for _ in 0..40 {
        let (one, other) = pairs().new_tree(&mut runner).unwrap().current();
        let plans = [one, other].map(|side| side.context().plan().unwrap());
        for change in effect(&plans[0], &plans[1]) {
            let kind = if change.gains() {
                0
            } else if change.loses() {
                1
            } else {
                2
            };
            seen[kind] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count >= 5), "{seen:?}");
}
