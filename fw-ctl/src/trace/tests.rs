//! A small set of rules, compiled, and flows through each step.

use std::sync::Arc;

use super::*;
use crate::compile::{Enforcement, Failsafe, Options, compile};
use crate::diagnostic::{Source, Span};
use crate::inventory::{Identities, Inventory};
use crate::lists::List;
use crate::policy::label::{Label, LabelSet};
use crate::policy::rules::{
    CidrBlock, DirectionRules, GroupBlock, Origin, ServiceRange, Services, Switch,
};

fn origin(rule: &str, line: usize) -> Origin {
    Origin {
        policy: "host".into(),
        rule: rule.into(),
        source: Arc::new(Source {
            name: "host.yaml".into(),
            text: String::new(),
        }),
        span: Span {
            line,
            ..Span::default()
        },
        log: String::new(),
    }
}

fn tcp(port: u16) -> Services {
    Services::Only(vec![port_range(port)])
}

fn port_range(port: u16) -> ServiceRange {
    ServiceRange::Ports {
        protocol: 6,
        first: port,
        last: port,
    }
}

/// Ingress: 22/tcp failsafe for all; 80/tcp for everybody; 81/tcp denied; the rest
/// for 192.0.2.0/24 only, and nothing for a list. Egress: no policy.
struct Node {
    plan: Plan,
    rules: RuleSet,
    identities: Numbered,
    local: LocalAddresses,
    options: Options,
}

impl Node {
    fn new(mode: Mode, builtins: u32) -> Self {
        let rule = |deny, peers, services, name: &str, line| Rule {
            deny,
            peers,
            services,
            rate: None,
            vlans: None,
            origin: origin(name, line),
        };
        let office = Peers::Only(vec![PeerSelector::Cidr(CidrBlock {
            cidr: "192.0.2.0/24".parse().unwrap(),
            except: vec![],
        })]);
        let list = b"# unwanted\n203.0.113.0/24\n203.0.113.64/26\n10.0.0.0/8\n";
        let mut inventory = Inventory::default();
        let list = Arc::new(List::parse("drop.netset", list).unwrap());
        inventory.add_lists([&list], 0);
        let unwanted = Peers::Only(vec![PeerSelector::Group(GroupBlock {
            group: Arc::clone(&inventory.cidr_groups[0]),
            except: vec!["203.0.113.128/25".parse().unwrap()],
        })]);
        let mut rules = RuleSet::default();
        rules.directions[0] = DirectionRules {
            default_deny: vec![Switch {
                origin: origin("ingress[0]", 3),
                vlans: None,
            }],
            rules: vec![
                rule(false, Peers::Any, tcp(80), "ingress[0]", 8),
                rule(false, office, Services::All, "ingress[1]", 14),
                rule(true, Peers::Any, tcp(81), "ingressDeny[0]", 20),
                rule(true, unwanted, Services::All, "ingressDeny[1]", 24),
            ],
        };
        let node = LabelSet::from_iter([Label::reserved("remote-node")]);
        let identities = Identities::new([("10.0.0.2/32".parse().unwrap(), Arc::new(node))]);
        let options = Options {
            mode,
            builtins,
            enforcement: Enforcement::Default,
            cidr_match_mode: CidrMatchMode::World,
            failsafe: vec![Failsafe {
                direction: Direction::Ingress,
                services: vec![port_range(22)],
                cidr: None,
                origin: "fw-ctl.toml:7".into(),
            }],
            vlans: None,
        };
        Self {
            plan: compile(&rules, &identities, &options).unwrap(),
            rules,
            options,
            identities: Numbered::new(identities),
            local: LocalAddresses::from(["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]),
        }
    }

    fn ask(&self, source: &str, destination: &str, protocol: u8, ports: (u16, u16)) -> Trace {
        let flow = flow(source, destination, protocol, ports);
        trace(self.context(), flow)
    }

    fn context(&self) -> Context<'_> {
        Context {
            plan: &self.plan,
            rules: &self.rules,
            cidr_match_mode: CidrMatchMode::World,
            local: &self.local,
            identities: &self.identities,
            ban: &|peer| (peer == banned()).then(|| format!("{peer} is banned for good")),
        }
    }
}

fn flow(source: &str, destination: &str, protocol: u8, ports: (u16, u16)) -> Flow {
    Flow {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol,
        source_port: ports.0,
        destination_port: ports.1,
        vlan: 0,
    }
}

/// The one who is.
fn banned() -> IpAddr {
    [203, 0, 113, 66].into()
}

fn enforcing() -> Node {
    Node::new(Mode::Enforce, fw_common::wire::Builtin::ALL)
}

/// Source, destination, protocol, ports; verdict and the last step.
type Row = (
    &'static str,
    &'static str,
    u8,
    (u16, u16),
    &'static str,
    &'static str,
);

#[test]
fn every_way_through() {
    let node = enforcing();
    let denied =
        "denied: nothing allows it, and ingress[0] of host (host.yaml:3) switches default deny on";
    let failsafe = "allowed by a failsafe entry, before any policy";
    let builtin = "allowed by a built-in, before any policy";
    let office = "allowed: ingress[1] of host (host.yaml:14)";
    let table: [Row; 13] = [
        (
            "198.51.100.1",
            "10.0.0.1",
            6,
            (0, 80),
            "allow",
            "allowed: ingress[0] of host (host.yaml:8)",
        ),
        ("198.51.100.1", "10.0.0.1", 6, (0, 443), "deny", denied),
        (
            "198.51.100.1",
            "10.0.0.1",
            6,
            (0, 81),
            "deny",
            "denied by a deny rule: ingressDeny[0] of host (host.yaml:20)",
        ),
        ("192.0.2.1", "10.0.0.1", 6, (0, 443), "allow", office),
        ("198.51.100.1", "10.0.0.1", 6, (0, 22), "allow", failsafe),
        ("198.51.100.1", "10.0.0.1", 17, (67, 68), "allow", builtin),
        ("fd00::2", "fd00::1", 58, (0, 135), "allow", builtin),
        ("fd00::2", "fd00::1", 58, (0, 128), "deny", denied),
        // Only code 4 of it is a built-in.
        ("198.51.100.1", "10.0.0.1", 1, (0, 3), "deny", denied),
        (
            "10.0.0.1",
            "192.0.2.1",
            6,
            (0, 443),
            "allow",
            "allowed: no-policy",
        ),
        (
            "10.0.0.1",
            "224.0.0.251",
            17,
            (5353, 5353),
            "allow",
            builtin,
        ),
        (
            "192.0.2.1",
            "192.0.2.2",
            6,
            (0, 443),
            "allow",
            "passes: not judged",
        ),
        (
            "10.0.0.1",
            "10.0.0.1",
            6,
            (0, 443),
            "allow",
            "passes: not judged",
        ),
    ];
    for (source, destination, protocol, ports, verdict, last) in table {
        let trace = node.ask(source, destination, protocol, ports);
        let found = trace.steps.last().unwrap();
        assert_eq!(
            (trace.verdict.as_str(), found.found.as_str()),
            (verdict, last),
            "{source} {destination} {ports:?}"
        );
    }
}

#[test]
fn the_steps_name_prefix_identity_and_near_misses() {
    let trace = enforcing().ask("10.0.0.2", "10.0.0.1", 6, (40_000, 443));
    let steps: Vec<_> = trace
        .steps
        .iter()
        .map(|step| (step.name.as_str(), step.found.as_str()))
        .collect();
    assert_eq!(steps[0], ("local", "10.0.0.1 is the node's: ingress"));
    assert_eq!(steps[1], ("built-in", "none fits"));
    assert_eq!(steps[2], ("failsafe", "the only one does not fit"));
    assert_eq!(steps[3].0, "identity");
    let identity = "10.0.0.2 is remote-node [reserved:remote-node]; \
                    peer class 0, as all from 10.0.0.2 to 10.0.0.2";
    assert_eq!(steps[3].1, identity);
    assert_eq!(
        steps[4..],
        [
            ("rules", "none means this peer and this service"),
            (
                "",
                "this peer, but not 443/tcp: allow ingress[0] of host (host.yaml:8), deny ingressDeny[0] of host (host.yaml:20)"
            ),
            (
                "",
                "443/tcp, but not this peer: allow ingress[1] of host (host.yaml:14), deny ingressDeny[1] of host (host.yaml:24)"
            ),
            (
                "verdict",
                "denied: nothing allows it, and ingress[0] of host (host.yaml:3) switches default deny on"
            ),
        ]
    );
    assert_eq!(trace.direction.as_deref(), Some("ingress"));
    assert_eq!(trace.rule.unwrap().origin, "host.yaml:3");
}

#[test]
fn the_line_of_a_list_that_means_the_peer_is_named() {
    let groups = |peer: &str| -> Vec<String> {
        let trace = enforcing().ask(peer, "10.0.0.1", 6, (40_000, 443));
        let groups = trace.steps.into_iter().filter(|step| step.name == "group");
        groups.map(|step| step.found).collect()
    };
    let by = |prefix: &str, line| {
        vec![format!(
            "{prefix} is in the CIDR group drop (drop.netset:{line})"
        )]
    };
    assert_eq!(groups("203.0.113.1"), by("203.0.113.0/24", 2));
    assert_eq!(groups("203.0.113.65"), by("203.0.113.64/26", 3));
    assert_eq!(groups("203.0.113.129"), [""; 0], "excepted");
    assert_eq!(groups("198.51.100.1"), [""; 0]);
    assert_eq!(groups("10.0.0.2"), [""; 0], "a CIDR rule means no node");
}

#[test]
fn a_built_in_that_is_off_does_not_help() {
    let node = Node::new(Mode::Enforce, 0);
    let trace = node.ask("198.51.100.1", "10.0.0.1", 17, (67, 68));
    assert_eq!(trace.verdict, "deny");
}

#[test]
fn what_the_failsafe_says_is_on_every_trace() {
    let node = enforcing();
    for (source, destination, protocol, ports, said) in [
        (
            "198.51.100.1",
            "10.0.0.1",
            6,
            (0, 22),
            "failsafe[0] (fw-ctl.toml:7)",
        ),
        (
            "198.51.100.1",
            "10.0.0.1",
            6,
            (0, 80),
            "the only one does not fit",
        ),
        (
            "203.0.113.66",
            "10.0.0.1",
            6,
            (0, 80),
            "the only one does not fit",
        ),
        (
            "198.51.100.1",
            "10.0.0.1",
            17,
            (67, 68),
            "the only one does not fit",
        ),
        (
            "10.0.0.1",
            "192.0.2.1",
            6,
            (0, 443),
            "there are none in this direction",
        ),
        (
            "10.0.0.1",
            "224.0.0.251",
            17,
            (1, 2),
            "there are none in this direction",
        ),
        ("192.0.2.1", "192.0.2.2", 6, (0, 443), "not asked"),
    ] {
        let trace = node.ask(source, destination, protocol, ports);
        let steps = trace.steps.iter().filter(|step| step.name == "failsafe");
        let found: Vec<_> = steps.map(|step| step.found.as_str()).collect();
        assert_eq!(found, [said], "{source} {destination} {ports:?}");
    }
    // A multicast passes by name, and would by the failsafe.
    let mut options = node.options.clone();
    let mut outbound = options.failsafe[0].clone();
    outbound.direction = Direction::Egress;
    options.failsafe.push(outbound);
    let identities = Identities::default();
    let node = Node {
        plan: compile(&node.rules, &identities, &options).unwrap(),
        ..node
    };
    let trace = node.ask("10.0.0.1", "224.0.0.251", 6, (1, 22));
    let names = trace.steps.iter().map(|step| step.name.as_str());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["local", "built-in", "failsafe", "verdict"]
    );
    assert_eq!(trace.steps[2].found, "failsafe[0] (fw-ctl.toml:7)");
    assert_eq!(trace.rule, None);
}

#[test]
fn audit_says_that_it_passes() {
    let node = Node::new(Mode::Audit, 0);
    let trace = node.ask("198.51.100.1", "10.0.0.1", 6, (0, 443));
    assert_eq!(trace.verdict, "deny");
    let last = &trace.steps.last().unwrap().found;
    assert!(
        last.ends_with("the mode is audit: it is reported, and passes"),
        "{last}"
    );
}

#[test]
fn a_banned_peer_is_denied_by_the_ban_but_not_from_failsafe() {
    for (mode, audit) in [
        (Mode::Enforce, ""),
        (
            Mode::Audit,
            "; the mode is audit: it is reported, and passes",
        ),
    ] {
        let node = Node::new(mode, 0);
        for (from, to) in [("203.0.113.66", "10.0.0.1"), ("10.0.0.1", "203.0.113.66")] {
            let trace = node.ask(from, to, 6, (40000, 80));
            assert_eq!(trace.verdict, "deny");
            let names = trace.steps.iter().map(|step| step.name.as_str());
            let names: Vec<_> = names.collect();
            assert_eq!(names, ["local", "built-in", "failsafe", "ban", "verdict"]);
            assert_eq!(trace.steps[3].found, "203.0.113.66 is banned for good");
            let verdict = format!("denied by a deny rule: banned-peer of ban{audit}");
            assert_eq!(trace.steps[4].found, verdict);
            assert_eq!(trace.rule.unwrap().policy, "ban");
        }
        let trace = node.ask("203.0.113.66", "10.0.0.1", 6, (40000, 22));
        assert_eq!(trace.verdict, "allow");
    }
}

#[test]
fn a_rate_is_named_where_it_limits() {
    let mut node = enforcing();
    let rate = "10/m per /32".parse().unwrap();
    let rules = &mut node.plan.rules;
    let limits = |rule: &PlanRule| rule.rule == "ingress[0]" && rule.allow;
    let id = rules.iter().position(limits).unwrap();
    rules[id].rate = Some(rate);
    node.rules.directions[0].rules[0].rate = Some(rate);
    let id = u16::try_from(id).unwrap();
    for cell in &mut node.plan.directions[0].cells {
        if cell.is_allow() && cell.rule() == id {
            *cell = VerdictWord::limited(id);
        }
    }
    let trace = node.ask("198.51.100.1", "10.0.0.1", 6, (0, 80));
    assert_eq!(trace.verdict, "allow");
    let found = |name| trace.steps.iter().find(|step| step.name == name).unwrap();
    assert_eq!(
        found("verdict").found,
        "allowed up to 10/m per /32 /64 burst 10, beyond that dropped: \
         ingress[0] of host (host.yaml:8)"
    );
    assert_eq!(
        found("rules").found,
        "allow ingress[0] of host (host.yaml:8) up to 10/m per /32 /64 burst 10"
    );
}

#[test]
fn the_vlan_is_a_step_where_anything_depends_on_it() {
    let mut node = enforcing();
    let ask = |node: &Node, vlan| {
        let context = node.context();
        let flow = Flow {
            vlan,
            ..flow("198.51.100.1", "10.0.0.1", 6, (0, 80))
        };
        let trace = trace(context, flow);
        let steps = trace.steps.into_iter().map(|step| (step.name, step.found));
        (trace.verdict, steps.collect::<Vec<_>>())
    };
    let step = |name: &str, found: &str| (name.to_owned(), found.to_owned());
    let (_, steps) = ask(&node, 0);
    assert!(steps.iter().all(|(name, _)| name != "vlan"), "{steps:?}");
    let (_, steps) = ask(&node, 212);
    assert!(steps.contains(&step("vlan", "VLAN 212; nothing depends on it")));

    node.rules.directions[0].rules[0].vlans = Some("untagged,212".parse().unwrap());
    let options = Options {
        vlans: Some("untagged,1-299".parse().unwrap()),
        ..node.options.clone()
    };
    node.plan = compile(&node.rules, &Identities::default(), &options).unwrap();
    let (verdict, steps) = ask(&node, 212);
    assert_eq!(verdict, "allow");
    assert!(
        steps.contains(&step("vlan", "VLAN 212; VLAN class 0")),
        "{steps:?}"
    );
    let allow = "allow ingress[0] of host (host.yaml:8) in VLANs untagged,212";
    assert!(steps.contains(&step("rules", allow)), "{steps:?}");

    let (verdict, steps) = ask(&node, 211);
    assert_eq!(verdict, "deny");
    let elsewhere = format!("peer and service, but not VLAN 211: {allow}");
    assert!(steps.contains(&step("", &elsewhere)), "{steps:?}");

    let (verdict, steps) = ask(&node, 300);
    assert_eq!(verdict, "deny");
    let vlan = "VLAN 300, which is not admitted; VLAN class 2";
    assert!(steps.contains(&step("vlan", vlan)), "{steps:?}");
    let last = "denied: the VLAN is none of `interfaces.vlans`";
    assert_eq!(steps.last(), Some(&step("verdict", last)));
}
