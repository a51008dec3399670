//! Plans of small rule sets, by what they decide and how they are made.

use std::net::IpAddr;
use std::sync::Arc;

use fw_common::wire::{Direction, VerdictWord};

use super::plan::{Mode, Plan};
use super::{Enforcement, Failsafe, Options, compile};
use crate::diagnostic::{Source, Span};
use crate::inventory::Identities;
use crate::policy::label::{Label, LabelKey, LabelSet};
use crate::policy::rules::{
    CidrBlock, CidrMatchMode, Origin, PeerSelector, Peers, Rule, RuleSet, Service, ServiceRange,
    Services, Switch,
};
use crate::policy::schema::{LabelSelector, Operator, Requirement};

pub(super) fn options() -> Options {
    Options {
        mode: Mode::Enforce,
        builtins: 0,
        enforcement: Enforcement::Default,
        cidr_match_mode: CidrMatchMode::World,
        failsafe: Vec::new(),
        vlans: None,
    }
}

fn origin(rule: &str) -> Origin {
    Origin {
        policy: "p".into(),
        rule: rule.to_owned(),
        source: Arc::new(Source {
            name: "p.yaml".to_owned(),
            text: String::new(),
        }),
        span: Span::default(),
        log: String::new(),
    }
}

pub(super) fn cidr(text: &str) -> Peers {
    Peers::Only(vec![PeerSelector::Cidr(CidrBlock {
        cidr: text.parse().unwrap(),
        except: Vec::new(),
    })])
}

pub(super) fn tcp(first: u16, last: u16) -> Services {
    Services::Only(vec![ServiceRange::Ports {
        protocol: 6,
        first,
        last,
    }])
}

pub(super) fn rule(name: &str, deny: bool, peers: Peers, services: Services) -> Rule {
    Rule {
        deny,
        peers,
        services,
        rate: None,
        vlans: None,
        origin: origin(name),
    }
}

/// Ingress rules under default deny.
pub(super) fn ingress(rules: Vec<Rule>) -> RuleSet {
    let mut set = RuleSet::default();
    let switch = |rule: &Rule| Switch {
        origin: rule.origin.clone(),
        vlans: rule.vlans.clone(),
    };
    set.directions[0].default_deny = rules.iter().map(switch).collect();
    set.directions[0].rules = rules;
    set
}

pub(super) fn plan(rules: &RuleSet, options: &Options) -> Plan {
    compile(rules, &Identities::default(), options).unwrap()
}

fn look(plan: &Plan, peer: &str, port: u16) -> VerdictWord {
    let service = Service::Port { protocol: 6, port };
    plan.lookup(Direction::Ingress, 0, peer.parse().unwrap(), service)
}

#[test]
fn without_policy_everything_passes_and_the_plan_is_smallest() {
    let plan = plan(&RuleSet::default(), &options());
    assert_eq!((plan.rows, plan.directions[0].columns), (1, 1));
    assert_eq!(look(&plan, "192.0.2.1", 22), VerdictWord::allow(0));
    assert!(!plan.filters(Direction::Ingress) && !plan.filters(Direction::Egress));
    assert_eq!(
        (&plan.peers.v4[..], &plan.peers.v6[..]),
        (&[(0, 0)][..], &[(0, 0)][..])
    );
}

#[test]
fn deny_wins_over_allow_and_the_first_rule_of_a_kind_decides() {
    let rules = ingress(vec![
        rule("ingress[0]", false, cidr("192.0.2.0/24"), tcp(1, 100)),
        rule("ingress[1]", false, Peers::Any, tcp(50, 200)),
        rule("ingressDeny[0]", true, cidr("192.0.2.1/32"), tcp(60, 60)),
    ]);
    let plan = plan(&rules, &options());
    let decides = |peer, port| {
        let word = look(&plan, peer, port);
        (word.is_allow(), plan.rule(word).rule.as_str())
    };
    assert_eq!(decides("192.0.2.9", 60), (true, "ingress[0]"));
    assert_eq!(decides("198.51.100.1", 60), (true, "ingress[1]"));
    assert_eq!(decides("192.0.2.1", 60), (false, "ingressDeny[0]"));
    assert!(look(&plan, "192.0.2.1", 60).is_explicit_deny());
    // What switched default deny on is what a default deny names.
    assert_eq!(decides("192.0.2.1", 201), (false, "ingress[0]"));
    assert!(!look(&plan, "192.0.2.1", 201).is_explicit_deny());
    assert!(plan.filters(Direction::Ingress) && !plan.filters(Direction::Egress));
}

/// A rule that allows up to a rate.
fn limited(name: &str, rate: &str, peers: Peers, services: Services) -> Rule {
    Rule {
        rate: Some(rate.parse().unwrap()),
        ..rule(name, false, peers, services)
    }
}

#[test]
fn what_one_rule_allows_without_a_limit_another_does_not_take_back() {
    let rules = ingress(vec![
        limited("ingress[0]", "1/s", Peers::Any, tcp(1, 100)),
        limited("ingress[1]", "9/s", Peers::Any, tcp(50, 150)),
        rule("ingress[2]", false, cidr("192.0.2.0/24"), tcp(60, 120)),
        rule("ingressDeny[0]", true, Peers::Any, tcp(70, 70)),
    ]);
    let plan = plan(&rules, &options());
    let decides = |peer, port| {
        let word = look(&plan, peer, port);
        let rule = plan.rule(word);
        let rate = rule.rate.filter(|_| word.is_limited());
        (rule.rule.as_str(), rate.map(|rate| rate.count))
    };
    assert_eq!(decides("198.51.100.1", 60), ("ingress[0]", Some(1)));
    assert_eq!(decides("198.51.100.1", 120), ("ingress[1]", Some(9)));
    assert_eq!(decides("192.0.2.1", 60), ("ingress[2]", None));
    assert_eq!(decides("192.0.2.1", 120), ("ingress[2]", None));
    assert_eq!(decides("192.0.2.1", 50), ("ingress[0]", Some(1)));
    assert!(look(&plan, "192.0.2.1", 70).is_explicit_deny());
}

#[test]
fn a_limit_filters_and_is_part_of_the_hash() {
    let with = |rate| {
        let mut rules = ingress(vec![limited("ingress[0]", rate, Peers::Any, Services::All)]);
        // Without default deny: what is not limited passes.
        rules.directions[0].default_deny = Vec::new();
        plan(&rules, &options())
    };
    let plan = with("1/s");
    assert!(plan.filters(Direction::Ingress));
    assert_eq!(plan.hash(), with("1/s burst 1").hash());
    assert_ne!(plan.hash(), with("1/s burst 2").hash());
}

#[test]
fn failsafe_comes_before_deny_and_knows_no_identities() {
    let node = [Label::reserved("remote-node")].into_iter().collect();
    let prefix = "192.0.2.1/32".parse().unwrap();
    let identities = Identities::new([(prefix, Arc::new(node))]);
    let rules = ingress(vec![rule(
        "ingressDeny[0]",
        true,
        Peers::Any,
        Services::All,
    )]);
    let mut options = options();
    options.failsafe = vec![Failsafe {
        direction: Direction::Ingress,
        services: vec![ServiceRange::Icmp(8)],
        cidr: Some("192.0.2.0/24".parse().unwrap()),
        origin: String::new(),
    }];
    let plan = compile(&rules, &identities, &options).unwrap();
    let ping = |peer: &str| {
        let peer: IpAddr = peer.parse().unwrap();
        plan.lookup(Direction::Ingress, 0, peer, Service::Icmp(8))
    };
    assert!(ping("192.0.2.1").is_failsafe() && ping("192.0.2.200").is_failsafe());
    assert!(ping("198.51.100.1").is_explicit_deny());
    assert_eq!(plan.rule(ping("192.0.2.1")).rule, "failsafe[0]");
}

#[test]
fn cidr_rules_do_not_match_nodes_unless_told_to() {
    let node: LabelSet = [Label::reserved("remote-node")].into_iter().collect();
    let prefix = "192.0.2.1/32".parse().unwrap();
    let identities = Identities::new([(prefix, Arc::new(node))]);
    let rules = ingress(vec![rule(
        "ingress[0]",
        false,
        cidr("192.0.2.0/24"),
        Services::All,
    )]);
    let mut options = options();
    let plan = compile(&rules, &identities, &options).unwrap();
    assert!(!look(&plan, "192.0.2.1", 22).is_allow() && look(&plan, "192.0.2.2", 22).is_allow());
    options.cidr_match_mode = CidrMatchMode::Nodes;
    let plan = compile(&rules, &identities, &options).unwrap();
    assert!(look(&plan, "192.0.2.1", 22).is_allow());
}

#[test]
fn always_denies_without_a_policy_and_never_allows_against_one() {
    let mut options = options();
    options.enforcement = Enforcement::Always;
    let always = plan(&RuleSet::default(), &options);
    assert_eq!(
        always.rule(look(&always, "192.0.2.1", 1)).rule,
        "default-deny"
    );
    assert!(always.filters(Direction::Ingress) && always.filters(Direction::Egress));
    options.enforcement = Enforcement::Never;
    let rules = ingress(vec![rule(
        "ingressDeny[0]",
        true,
        Peers::Any,
        Services::All,
    )]);
    let never = plan(&rules, &options);
    assert_eq!(look(&never, "192.0.2.1", 1), VerdictWord::allow(0));
}

#[test]
fn equal_rows_and_columns_are_one() {
    // The second prefix is allowed nothing that the first is not; ports 1 to 9 and
    // 10 to 19 are allowed by the same rule to everybody.
    let rules = ingress(vec![
        rule(
            "ingress[0]",
            false,
            cidr("192.0.2.0/24"),
            Services::Only(vec![
                ServiceRange::Ports {
                    protocol: 6,
                    first: 1,
                    last: 9,
                },
                ServiceRange::Ports {
                    protocol: 6,
                    first: 10,
                    last: 19,
                },
            ]),
        ),
        rule("ingress[1]", false, cidr("192.0.2.128/25"), tcp(10, 19)),
    ]);
    let plan = plan(&rules, &options());
    assert_eq!((plan.rows, plan.directions[0].columns), (2, 2));
    assert_eq!(plan.peers.v4, [(0, 0), (0xc000_0200, 1), (0xc000_0300, 0)]);
}

#[test]
fn every_part_of_a_plan_is_in_its_hash() {
    let rules = ingress(vec![rule(
        "ingress[0]",
        false,
        cidr("192.0.2.0/24"),
        tcp(1, 9),
    )]);
    let one = plan(&rules, &options());
    assert_eq!(one.hash(), one.clone().hash());
    let change: [fn(&mut Plan); 8] = [
        |plan| plan.mode = Mode::Audit,
        |plan| plan.builtins = 1,
        |plan| plan.peers.v4[0].1 += 1,
        |plan| plan.directions[1].cells[0] = VerdictWord::deny(0),
        |plan| plan.directions[0].ports[0][5] += 1,
        |plan| plan.directions[0].protocols[2] += 1,
        |plan| plan.rules[1].origin.push('x'),
        |plan| plan.rules[1].log.push('x'),
    ];
    for change in change {
        let mut other = one.clone();
        change(&mut other);
        assert_ne!(other.hash(), one.hash());
    }
}

#[test]
fn a_plan_that_does_not_fit_names_the_largest_policies() {
    let many = |n: u16| {
        let peers = cidr(&format!("10.{}.{}.0/24", n / 256, n % 256));
        rule("ingress[0]", false, peers, tcp(n + 1, n + 1))
    };
    let rules = ingress((0..1_000).map(many).collect());
    let error = compile(&rules, &Identities::default(), &options()).unwrap_err();
    assert_eq!(error.limit, 262_144);
    assert_eq!(error.contributors, [("p".to_owned(), 1_000)]);
    assert!(error.to_string().contains("`p` (1000 rules)"), "{error}");
    let rules = ingress((0..17_000).map(|_| many(1)).collect());
    let error = compile(&rules, &Identities::default(), &options()).unwrap_err();
    assert_eq!((error.what.as_str(), error.limit), ("rule ids", 16_384));
}

#[test]
fn another_address_of_a_known_kind_changes_the_peers_only() {
    let labelled = |key: &str| Arc::new(LabelSet::from_iter([Label::reserved(key)]));
    let selected = |key: &str| {
        Peers::Only(vec![PeerSelector::Labels(LabelSelector {
            span: Span::default(),
            requirements: vec![Requirement {
                key: LabelKey::parse(&format!("reserved:{key}")),
                operator: Operator::Exists,
                span: Span::default(),
            }],
        })])
    };
    let rules = ingress(vec![
        rule("a", false, selected("ingress"), tcp(22, 22)),
        rule("b", false, selected("health"), tcp(80, 80)),
    ]);
    let with = |entries: &[(&str, &str)]| {
        let entries = entries
            .iter()
            .map(|(address, key)| (address.parse().unwrap(), labelled(key)));
        compile(&rules, &Identities::new(entries), &options()).unwrap()
    };
    let before = with(&[("10.0.0.5/32", "ingress"), ("10.0.0.6/32", "health")]);
    // In front of the others, so that its class is met first.
    let after = with(&[
        ("10.0.0.1/32", "health"),
        ("10.0.0.5/32", "ingress"),
        ("10.0.0.6/32", "health"),
    ]);
    assert_ne!(before.peers, after.peers);
    let peers = after.peers.clone();
    assert_eq!(Plan { peers, ..before }, after);
}
