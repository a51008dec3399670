use super::*;
use crate::diagnostic::Source;
use crate::inventory::{self, Labels};
use crate::policy::load;
use crate::policy::rules::{Surroundings, flatten};

fn rule_set(policies: &[&str]) -> RuleSet {
    let sources = policies.iter().enumerate().map(|(number, text)| Source {
        name: format!("{number}.yaml"),
        text: format!("apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n{text}"),
    });
    let loaded = load::load_sources(sources);
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error());
    assert_eq!(errors.map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    let view = inventory::load_sources::<Source>([])
        .inventory
        .view("n", &Labels::new(), "default");
    let surroundings = Surroundings {
        node: &view.labels,
        cluster: "default",
        groups: &loaded.cidr_groups,
    };
    flatten(&loaded.documents, &surroundings).rules
}

/// `+ web ingress[0]`, and of what changed the parts.
fn changes(from: &[&str], to: &[&str]) -> Vec<String> {
    let found = rules(&rule_set(from), &rule_set(to), ["default"; 2]);
    let name = |rule: &Named| format!("{} {}", rule.policy, rule.rule);
    let text = |change: &RuleChange| match change {
        RuleChange::Added(rule) => format!("+ {}", name(rule)),
        RuleChange::Removed(rule) => format!("- {}", name(rule)),
        RuleChange::Changed { from, to, fields } => {
            let field = |field: &Field| {
                let (old, new) = (field.removed.join(" "), field.added.join(" "));
                format!("{}: {old} > {new}", field.name)
            };
            let fields: Vec<_> = fields.iter().map(field).collect();
            format!("~ {} > {}; {}", name(from), name(to), fields.join("; "))
        }
    };
    found.iter().map(text).collect()
}

const WEB: &str = "
metadata: {name: web}
spec:
  nodeSelector: {}
  ingress:
  - fromCIDR: [192.0.2.0/24, 198.51.100.0/24]
    toPorts: [{ports: [{port: '443', protocol: TCP}, {port: '80', protocol: TCP}]}]
  - fromEntities: [remote-node]
  ingressDeny:
  - fromCIDR: [192.0.2.66/32]
";

#[test]
fn where_a_rule_stands_is_no_difference() {
    let moved = "
# Another comment.
metadata: {name: web}
specs:
- nodeSelector: {}
  ingressDeny:
  - fromCIDRSet: [{cidr: 192.0.2.66/32}]
- nodeSelector: {}
  ingress:
  - fromEntities: [remote-node]
  - toPorts: [{ports: [{port: '80', protocol: TCP}]}, {ports: [{port: '443', protocol: TCP}]}]
    fromCIDR: [198.51.100.0/24, 192.0.2.128/25, 192.0.2.0/25]
";
    let other =
        "\nmetadata: {name: other}\nspec: {nodeSelector: {}, egress: [{toEntities: [all]}]}\n";
    assert_eq!(changes(&[WEB], &[WEB]), [""; 0]);
    assert_eq!(changes(&[WEB, other], &[other, moved]), [""; 0]);
}

#[test]
fn a_rule_that_comes_first_pushes_no_other_away() {
    let inserted = WEB.replace(
        "  ingress:\n",
        "  ingress:\n  - fromCIDR: [203.0.113.0/24]\n    icmps: [{fields: [{type: 8}]}]\n",
    );
    assert_eq!(changes(&[WEB], &[&inserted]), ["+ web ingress[0]"]);
    assert_eq!(changes(&[&inserted], &[WEB]), ["- web ingress[0]"]);
    // Also where one behind it changes at the same time.
    let both = inserted.replace("port: '80'", "port: '8080'");
    assert_eq!(
        changes(&[WEB], &[&both]),
        [
            "+ web ingress[0]",
            "~ web ingress[0] > web ingress[1]; services: TCP 80,443 > TCP 443,8080"
        ]
    );
}

#[test]
fn what_a_rule_says_differently_is_told_part_by_part() {
    let peers = WEB.replace("198.51.100.0/24", "203.0.113.0/24");
    assert_eq!(
        changes(&[WEB], &[&peers]),
        ["~ web ingress[0] > web ingress[0]; peers: 198.51.100.0/24 > 203.0.113.0/24"]
    );
    let rate = WEB.replace(
        "{name: web}",
        "{name: web, annotations: {fw-ctl.io/rate: '5/m', fw-ctl.io/vlans: '212'}}",
    );
    assert_eq!(
        changes(&[WEB], &[&rate]),
        [
            "~ web ingress[0] > web ingress[0]; rate:  > 5/m burst 5; vlans:  > 212",
            "~ web ingress[1] > web ingress[1]; rate:  > 5/m burst 5; vlans:  > 212",
            "~ web ingressDeny[0] > web ingressDeny[0]; vlans:  > 212",
        ]
    );
    let verdict = WEB.replace("  ingressDeny:\n  - fromCIDR", "  - fromCIDR");
    assert_eq!(
        changes(&[WEB], &[&verdict]),
        ["~ web ingressDeny[0] > web ingress[2]; verdict: deny > allow"]
    );
    // Neither peers nor services are the same: but it is the second rule still.
    let other = WEB.replace(
        "  - fromEntities: [remote-node]",
        "  - fromNodes: [{matchLabels: {role: cp}}]\n    icmps: [{fields: [{type: 8}]}]",
    );
    assert_eq!(
        changes(&[WEB], &[&other]),
        [
            "~ web ingress[1] > web ingress[1]; peers: remote-node > nodes with role=cp; \
          services: everything > ICMP EchoRequest"
        ]
    );
}

#[test]
fn rules_of_another_policy_are_others() {
    let renamed = WEB.replace("{name: web}", "{name: www}");
    let found = changes(&[WEB], &[&renamed]);
    assert_eq!(
        found
            .iter()
            .filter(|line| line.starts_with("- web"))
            .count(),
        3
    );
    assert_eq!(
        found
            .iter()
            .filter(|line| line.starts_with("+ www"))
            .count(),
        3
    );
    assert_eq!(found.len(), 6);
    // Twice the same is one too many.
    let twice = WEB.replace(
        "  - fromEntities: [remote-node]\n",
        "  - fromEntities: [remote-node]\n  - fromEntities: [remote-node]\n",
    );
    assert_eq!(changes(&[WEB], &[&twice]), ["+ web ingress[2]"]);
}

#[test]
fn peers_are_called_as_policies_call_them() {
    let policy = "
metadata: {name: all}
spec:
  nodeSelector: {}
  ingress:
  - fromEntities: [cluster, world]
  - fromEntities: [kube-apiserver, world-ipv6]
  - fromEndpoints: [{matchLabels: {app: web, 'k8s:io.kubernetes.pod.namespace': shop}}, {}]
  - fromNodes: [{}]
  - fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]
  - fromEntities: []
  - toPorts: [{ports: [{port: '22', protocol: ANY}]}]
";
    let found = rules(&RuleSet::default(), &rule_set(&[policy]), ["default"; 2]);
    let peers = found
        .iter()
        .map(|change| change.rule().says[1].1.join(" + "));
    let peers: Vec<_> = peers.collect();
    assert_eq!(
        peers,
        [
            "cluster + world",
            "world-ipv6 + kube-apiserver",
            "pods with app=web in shop + pods",
            "nodes",
            "10.0.0.0/8 but 10.1.0.0/16",
            "nobody",
            "everybody",
        ]
    );
    let services = &found[6].rule().says[2].1;
    assert_eq!(services.join(" "), "TCP/UDP/SCTP 22");
}
