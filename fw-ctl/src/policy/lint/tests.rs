//! Mistakes from the field, and what is said about them.

use super::*;
use crate::inventory;
use crate::policy::load;

const CLUSTER: &str = "
kind: List
items:
- {kind: Node, metadata: {name: a, labels: {role: cp}}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
- {kind: Node, metadata: {name: b, labels: {role: ''}}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}
";

fn source(text: &str) -> Source {
    Source {
        name: "p.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// `line: message` of every warning about a spec.
fn lint_spec(spec: &str, inventory: Option<&str>) -> Vec<String> {
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: p}}\nspec:\n{spec}"
    );
    let loaded = load::load_sources([source(&text)]);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let known = inventory.map(|text| inventory::load_sources([source(text)]).inventory);
    lint(&Input {
        documents: &loaded.documents,
        groups: &loaded.cidr_groups,
        inventory: known.as_ref(),
        node: None,
        cluster: "default",
        cidr_match_mode: CidrMatchMode::World,
        failsafe: &[],
    })
    .iter()
    .map(|found| {
        let line = found.span.map_or(0, |span| span.line);
        format!("{line}: {}", found.message)
    })
    .collect()
}

#[test]
fn a_deny_all_tail_kills_the_allows_before_it() {
    let found = lint_spec(
        "  nodeSelector: {}
  ingress:
  - fromCIDR: [10.0.1.0/24]
    toPorts: [{ports: [{port: '22', protocol: TCP}]}]
  - fromCIDR: ['2001:db8::/32']
  ingressDeny:
  - fromCIDR: [0.0.0.0/0]
",
        None,
    );
    assert_eq!(
        found,
        [
            "7: this rule allows nothing: what it would allow is denied by `ingressDeny[0]` of `p` (p.yaml:11)"
        ]
    );
}

#[test]
fn a_rule_inside_another_is_shadowed() {
    let found = lint_spec(
        "  nodeSelector: {}
  ingress:
  - fromCIDR: [10.0.0.0/8]
  - fromCIDR: [10.1.0.0/16]
    toPorts: [{ports: [{port: '22', protocol: TCP}]}]
",
        None,
    );
    assert_eq!(
        found,
        [
            "8: this rule never decides: all of it is already allowed by `ingress[0]` of `p` (p.yaml:7)"
        ]
    );
}

#[test]
fn rules_that_can_never_match_say_why() {
    for (item, reason) in [
        ("fromCIDR: []", "empty and selects nobody"),
        (
            "fromCIDRSet: [{cidrGroupRef: gone}]",
            "no CiliumCIDRGroup and no list `gone`",
        ),
        (
            "fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}]",
            "`except` leaves nothing",
        ),
        (
            "toPorts: [{ports: [{port: http}]}]",
            "named ports match nothing",
        ),
        ("toPorts: [{}]", "names nothing"),
    ] {
        let found = lint_spec(
            &format!("  nodeSelector: {{}}\n  ingress:\n  - {item}\n"),
            None,
        );
        assert_eq!(found.len(), 1, "{item}: {found:?}");
        assert!(
            found[0].starts_with("7: this rule allows nothing"),
            "{found:?}"
        );
        assert!(found[0].contains(reason), "{found:?}");
    }
}

#[test]
fn only_denying_drops_everything_else() {
    let spec = "  nodeSelector: {}\n  ingressDeny:\n  - fromCIDR: [192.0.2.0/24]\n";
    let found = lint_spec(spec, None);
    assert!(found[0].contains("switches default deny on"), "{found:?}");
    let guarded = format!("{spec}  enableDefaultDeny: {{ingress: false}}\n");
    assert_eq!(lint_spec(&guarded, None), [""; 0]);
}

#[test]
fn a_selector_that_misses_names_the_values_there_are() {
    let spec = "  nodeSelector: {matchLabels: {role: 'true'}}\n  ingress: [{}]\n";
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: p}}\nspec:\n{spec}"
    );
    let loaded = load::load_sources([source(&text)]);
    let known = inventory::load_sources([source(CLUSTER)]).inventory;
    let found = lint(&Input {
        documents: &loaded.documents,
        groups: &[],
        inventory: Some(&known),
        node: None,
        cluster: "default",
        cidr_match_mode: CidrMatchMode::World,
        failsafe: &[],
    });
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("selects no node"));
    assert_eq!(
        found[0].help.as_deref(),
        Some("nodes have `role` with \"\", \"cp\"")
    );
}

#[test]
fn a_cidr_around_a_node_does_not_match_it() {
    let found = lint_spec(
        "  nodeSelector: {}\n  ingress:\n  - fromCIDR: [10.0.0.0/24]\n",
        Some(CLUSTER),
    );
    assert_eq!(
        found,
        ["7: 10.0.0.0/24 holds 10.0.0.1 of the node `a`, but a CIDR rule does not match nodes"]
    );
}

#[test]
fn egress_without_dns_is_mentioned_once() {
    let spec = "  nodeSelector: {}\n  egress:\n  - toEntities: [remote-node]\n    toPorts: [{ports: [{port: '443', protocol: TCP}]}]\n";
    let found = lint_spec(spec, Some(CLUSTER));
    assert_eq!(
        found,
        ["7: egress is default deny, and nothing allows DNS (UDP 53) to anybody"]
    );
}

#[test]
fn what_is_right_is_left_alone() {
    let found = lint_spec(
        "  nodeSelector: {matchLabels: {role: cp}}
  ingress:
  - fromEntities: [remote-node]
  - fromCIDR: [192.0.2.0/24]
    toPorts: [{ports: [{port: '22', protocol: TCP}]}]
  - icmps: [{fields: [{type: 8}]}]
",
        Some(CLUSTER),
    );
    assert_eq!(found, [""; 0]);
}

/// Warnings about two policies, each for its VLANs.
fn lint_in_vlans(one: &str, two: &str) -> Vec<String> {
    let policy = |name: &str, vlans: &str, cidr: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
             metadata: {{name: {name}, annotations: {{fw-ctl.io/vlans: '{vlans}'}}}}\n\
             spec: {{nodeSelector: {{}}, ingress: [{{fromCIDR: [{cidr}]}}]}}\n"
        )
    };
    let text = format!(
        "{}---\n{}",
        policy("wide", one, "10.0.0.0/8"),
        policy("narrow", two, "10.1.0.0/16")
    );
    let loaded = load::load_sources([source(&text)]);
    let known = inventory::load_sources([source(CLUSTER)]).inventory;
    let found = lint(&Input {
        documents: &loaded.documents,
        groups: &[],
        inventory: Some(&known),
        node: Some("a"),
        cluster: "default",
        cidr_match_mode: CidrMatchMode::World,
        failsafe: &[],
    });
    let shadowed = found.into_iter().map(|found| found.message);
    shadowed
        .filter(|message| message.contains("never decides"))
        .collect()
}

#[test]
fn a_rule_is_only_shadowed_where_it_holds() {
    let by_wide = [
        "this rule never decides: all of it is already allowed by `ingress[0]` of \
                    `wide` (p.yaml:4)",
    ];
    assert_eq!(lint_in_vlans("1-300", "212"), by_wide);
    assert_eq!(lint_in_vlans("1-300", "212,301"), [""; 0]);
    assert_eq!(lint_in_vlans("212", "300"), [""; 0]);
}

/// What is said of a policy beside two failsafe entries.
fn lint_beside_failsafe(spec: &str) -> Vec<String> {
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: p}}\nspec:\n  nodeSelector: {{}}\n{spec}"
    );
    let loaded = load::load_sources([source(&text)]);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let known = inventory::load_sources([source(CLUSTER)]).inventory;
    let entry = |port, cidr: Option<&str>, line| Failsafe {
        direction: fw_common::wire::Direction::Ingress,
        services: vec![crate::policy::rules::ServiceRange::Ports {
            protocol: 6,
            first: port,
            last: port + 9,
        }],
        cidr: cidr.map(|cidr| cidr.parse().unwrap()),
        origin: format!("fw-ctl.toml:{line}"),
    };
    let failsafe = [entry(22, None, 3), entry(6_443, Some("192.0.2.64/26"), 4)];
    let found = lint(&Input {
        documents: &loaded.documents,
        groups: &loaded.cidr_groups,
        inventory: Some(&known),
        node: Some("a"),
        cluster: "default",
        cidr_match_mode: CidrMatchMode::World,
        failsafe: &failsafe,
    });
    let overruled = found.iter().filter(|one| one.message.contains("failsafe"));
    overruled
        .map(|one| format!("{}: {}", one.span.map_or(0, |span| span.line), one.message))
        .collect()
}

#[test]
fn a_deny_rule_that_a_failsafe_overrules_names_both_places() {
    let found = lint_beside_failsafe(
        "  ingressDeny:\n  - fromCIDR: [203.0.113.0/24]\n    toPorts: [{ports: [{port: '30', protocol: TCP}]}]\n",
    );
    assert_eq!(
        found,
        [
            "7: this rule denies what `failsafe.inbound[0]` (fw-ctl.toml:3) lets pass: \
          tcp 22-31 from anybody; the failsafe wins"
        ]
    );
}

#[test]
fn only_a_deny_rule_that_shares_something_is_overruled() {
    let deny = |peer: &str, port: &str| {
        format!(
            "  ingressDeny:\n  - {peer}\n    toPorts: [{{ports: [{{port: '{port}', protocol: TCP}}]}}]\n"
        )
    };
    for (spec, by) in [
        (deny("fromEntities: [world]", "22"), Some(0)),
        (deny("fromEntities: [remote-node]", "31"), Some(0)),
        (deny("fromCIDR: [0.0.0.0/0]", "6443"), Some(1)),
        (deny("fromCIDR: [192.0.2.100/32]", "6452"), Some(1)),
        (
            deny(
                "fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.0/26]}]",
                "6443",
            ),
            Some(1),
        ),
        (
            "  ingressDeny: [{fromEntities: [all]}]\n".to_owned(),
            Some(0),
        ),
        // Others, or another service, or not denied, or the other way.
        (deny("fromCIDR: [192.0.2.0/26]", "6443"), None),
        (
            deny(
                "fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.64/26]}]",
                "6443",
            ),
            None,
        ),
        (deny("fromEntities: [remote-node]", "6443"), None),
        (deny("fromCIDR: ['2001:db8::/32']", "6443"), None),
        (deny("fromEntities: [world]", "32"), None),
        (
            deny("fromEntities: [world]", "22").replace("TCP", "UDP"),
            None,
        ),
        (
            deny("fromEntities: [world]", "22").replace("ingressDeny", "ingress"),
            None,
        ),
        (
            deny("toEntities: [world]", "22").replace("ingressDeny", "egressDeny"),
            None,
        ),
    ] {
        let found = lint_beside_failsafe(&spec);
        let entry = by.map(|i| format!("`failsafe.inbound[{i}]`"));
        assert_eq!(found.len(), usize::from(by.is_some()), "{spec}{found:?}");
        assert!(
            entry.is_none_or(|entry| found[0].contains(&entry)),
            "{spec}{found:?}"
        );
    }
}
