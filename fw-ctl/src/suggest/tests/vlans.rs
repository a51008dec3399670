//! Policies for VLANs, and their names.

use super::*;

/// Two policies for some VLANs, of which one switches default deny on there only.
const IN_VLANS: &str = "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: storage, annotations: {fw-ctl.io/vlans: '212,300'}}
spec:
  nodeSelector: {matchLabels: {role: 'on'}, matchExpressions: [{key: spare, operator: DoesNotExist}]}
  ingress:
  - fromCIDR: [10.9.0.0/16]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: suggested}
specs:
- nodeSelector: {}
  egress: [{toCIDR: [10.9.0.0/16]}]
";

fn in_vlans() -> Node {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.yaml"), IN_VLANS).unwrap();
    let mut config = Config::default();
    config.node.name = "n1".into();
    config.node.labels = BTreeMap::from([("role".into(), "on".into())]);
    config.policy.dirs = vec![dir.path().to_owned()];
    config.policy.inventory = Vec::new();
    Node::of(&config)
}

#[test]
fn what_is_seen_in_a_vlan_is_allowed_there_only() {
    let node = in_vlans();
    let in_vlan = |vlan, entry| Entry { vlan, ..entry };
    let entries = [
        in_vlan(212, entry(Ingress, "192.0.2.1", 6, 3260)),
        in_vlan(0, entry(Egress, "192.0.2.1", 6, 443)),
    ];
    let text = node.suggest(&entries, By::Auto);
    let annotations: Vec<_> = text
        .lines()
        .filter(|line| line.contains("fw-ctl.io/vlans"))
        .collect();
    assert_eq!(
        annotations,
        [
            "    fw-ctl.io/vlans: \"untagged\"",
            "    fw-ctl.io/vlans: \"212\""
        ]
    );
    // Names that are free, and the nodes that are denied it, whatever their labels look like.
    assert!(
        text.contains("name: suggested-2\n") && text.contains("name: suggested-3\n"),
        "{text}"
    );
    assert!(
        text.contains("      role: \"on\"\n    matchExpressions:\n    - key: spare\n"),
        "{text}"
    );
    let after = node.with(&text);
    for vlan in [0, 212, 300] {
        let allows = |entry| after.allows(&in_vlan(vlan, entry));
        let storage = allows(entry(Ingress, "192.0.2.1", 6, 3260));
        assert_eq!(storage, vlan != 300, "not denied without a tag: {vlan}");
        assert_eq!(
            allows(entry(Egress, "192.0.2.1", 6, 443)),
            vlan == 0,
            "{vlan}"
        );
    }
    let named = |name| {
        suggest(
            &node.base(),
            &node.choose(&entries),
            By::Auto,
            Some(name),
            "",
        )
    };
    assert!(
        named("suggested")
            .unwrap_err()
            .contains("there is a policy suggested already")
    );
    let refused = named("Not\u{1b} a name").unwrap_err();
    assert!(
        refused.starts_with("\"Not  a name\" is not a name"),
        "{refused}"
    );
    assert!(
        named("another")
            .unwrap()
            .text
            .unwrap()
            .contains("name: another-2\n")
    );
}
