//! Plans of rules that hold in some VLANs, and of VLANs that are not admitted.

use fw_common::wire::{Direction, VerdictWord};

use super::tests::{cidr, ingress, options, plan, rule, tcp};
use super::{Enforcement, Failsafe, Options, compile};
use crate::inventory::Identities;
use crate::policy::rules::{Peers, Rule, Service, ServiceRange};

/// A rule in some VLANs.
fn in_vlans(vlans: &str, rule: Rule) -> Rule {
    Rule {
        vlans: Some(vlans.parse().unwrap()),
        ..rule
    }
}

#[test]
fn rules_of_some_vlans_and_their_default_deny_hold_there_only() {
    let mut rules = ingress(vec![
        in_vlans(
            "212,300-310",
            rule("ingress[0]", false, Peers::Any, tcp(22, 22)),
        ),
        in_vlans(
            "310-320",
            rule("ingress[1]", false, Peers::Any, tcp(80, 80)),
        ),
        rule("ingressDeny[0]", true, Peers::Any, tcp(23, 23)),
    ]);
    // The last one switches nothing on.
    rules.directions[0].default_deny.pop();
    let plan = plan(&rules, &options());
    assert!(plan.needs_vlan());
    let decides = |vlan, port| {
        let service = Service::Port { protocol: 6, port };
        let peer = "192.0.2.1".parse().unwrap();
        let word = plan.lookup(Direction::Ingress, vlan, peer, service);
        let rule = plan.rule(word);
        (word.is_allow(), rule.rule.as_str())
    };
    for vlan in [0, 1, 211, 321, 4_094] {
        assert_eq!(decides(vlan, 22), (true, "default-allow"), "{vlan}");
        assert_eq!(decides(vlan, 23), (false, "ingressDeny[0]"), "{vlan}");
    }
    for vlan in [212, 300, 309] {
        assert_eq!(decides(vlan, 22), (true, "ingress[0]"), "{vlan}");
        // Default deny is of the policy that holds here.
        assert_eq!(decides(vlan, 80), (false, "ingress[0]"), "{vlan}");
    }
    assert_eq!(decides(310, 22), (true, "ingress[0]"));
    assert_eq!(decides(310, 80), (true, "ingress[1]"));
    assert_eq!(decides(311, 80), (true, "ingress[1]"));
    assert_eq!(decides(311, 22), (false, "ingress[1]"));
    assert_eq!(plan.vlan_classes(), 4);
    assert_eq!(plan.vlan_examples().collect::<Vec<_>>(), [0, 212, 310, 311]);
    let egress = plan.lookup(
        Direction::Egress,
        212,
        "192.0.2.1".parse().unwrap(),
        Service::Protocol(47),
    );
    assert_eq!(egress, VerdictWord::allow(0));
}

#[test]
fn nothing_depends_on_the_vlan_unless_a_rule_or_admission_says_so() {
    let rules = ingress(vec![rule("ingress[0]", false, Peers::Any, tcp(22, 22))]);
    let plan_all = plan(&rules, &options());
    assert!(!plan_all.needs_vlan());
    assert_eq!(plan_all.vlan_classes(), 1);
    // Rules that are not enforced do not count.
    let annotated = ingress(vec![in_vlans("7", rule("a", false, Peers::Any, tcp(1, 1)))]);
    let never = Options {
        enforcement: Enforcement::Never,
        ..options()
    };
    assert!(!plan(&annotated, &never).needs_vlan());
    let admitting = Options {
        vlans: Some("untagged,212".parse().unwrap()),
        ..options()
    };
    assert!(plan(&rules, &admitting).needs_vlan());
}

#[test]
fn only_failsafe_entries_hold_where_a_vlan_is_not_admitted() {
    let rules = ingress(vec![rule("ingress[0]", false, Peers::Any, tcp(22, 23))]);
    let failsafe = Failsafe {
        direction: Direction::Ingress,
        services: vec![ServiceRange::Ports {
            protocol: 6,
            first: 22,
            last: 22,
        }],
        cidr: None,
        origin: String::new(),
    };
    let options = Options {
        vlans: Some("212".parse().unwrap()),
        failsafe: vec![failsafe],
        ..options()
    };
    let plan = plan(&rules, &options);
    let word = |direction, vlan, port| {
        let service = Service::Port { protocol: 6, port };
        plan.lookup(direction, vlan, "192.0.2.1".parse().unwrap(), service)
    };
    assert!(word(Direction::Ingress, 212, 22).is_failsafe());
    assert!(word(Direction::Ingress, 212, 23).is_allow());
    for vlan in [0, 211, 213, 4_095] {
        assert!(word(Direction::Ingress, vlan, 22).is_failsafe(), "{vlan}");
        for denied in [
            word(Direction::Ingress, vlan, 23),
            word(Direction::Egress, vlan, 443),
        ] {
            assert!(denied.is_unadmitted() && !denied.is_allow(), "{vlan}");
            assert_eq!(plan.rule(denied).rule, "vlan-not-admitted");
        }
    }
    assert!(plan.filters(Direction::Egress), "of what is not admitted");
}

#[test]
fn many_vlan_classes_are_named_where_they_do_not_fit() {
    let rules = (1..=200).map(|vlan| {
        let peers = cidr(&format!("10.0.{}.{}/32", vlan / 250, vlan % 250));
        in_vlans(&vlan.to_string(), rule("r", false, peers, tcp(vlan, vlan)))
    });
    let error = compile(
        &ingress(rules.collect()),
        &Identities::default(),
        &options(),
    );
    let text = error.unwrap_err().to_string();
    let says = "8120601 verdict words (201 VLAN classes × 201 peer classes × 201 service classes)";
    assert!(text.contains(says), "{text}");
}
