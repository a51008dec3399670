//! How nodes are named.

use super::*;

#[test]
fn entities_are_named_where_all_of_them_were_seen() {
    let node = Node::shipped("rke2");
    let (server, agent) = ("10.0.0.12", "10.0.0.21");
    let entries = [server, agent].map(|peer| entry(Ingress, peer, 6, 9100));
    let text = node.suggest(&entries, By::Auto);
    assert!(
        text.contains("  - fromEntities:\n    - remote-node\n    toPorts:"),
        "{text}"
    );
    assert!(
        text.contains("# the same by other addresses: "),
        "the IPv6 addresses: {text}"
    );
    let text = node.suggest(&entries, By::Labels);
    assert!(text.contains("kubernetes.io/hostname: agent1"), "{text}");
    assert!(text.contains("kubernetes.io/hostname: server2"), "{text}");
    let text = node.suggest(&entries[..1], By::Entity);
    assert!(
        text.contains("  - fromEntities:\n    - kube-apiserver\n"),
        "{text}"
    );
    let refused = node.suggestion(&entries, By::Cidr);
    assert!(refused.text.is_none(), "{:?}", refused.text);
    assert!(
        refused.left[0].contains("inside the cluster"),
        "{:?}",
        refused.left
    );
}

/// Nodes with the labels that they are to be told apart by.
fn nodes(all: &[(&str, u8, &str)]) -> Node {
    let one = |(name, last, labels): &(&str, u8, &str)| {
        format!(
            "---\nkind: Node\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n\
             status: {{addresses: [{{type: InternalIP, address: 10.0.0.{last}}}]}}\n"
        )
    };
    Node::denying(&all.iter().map(one).collect::<String>())
}

fn from_node(last: u8) -> Entry {
    entry(Ingress, &format!("10.0.0.{last}"), 6, 9100)
}

#[test]
fn a_node_without_a_name_of_its_own_opens_nothing_for_the_others() {
    let host = |name: &str| format!("role: worker, kubernetes.io/hostname: {name}");
    let (n2, n3) = (host("n2"), host("n3"));
    let node = nodes(&[("n2", 2, &n2), ("n3", 3, &n3), ("new", 4, "role: worker")]);
    let found = node.suggestion(&[from_node(4), from_node(2)], By::Auto);
    let text = found.text.unwrap();
    let after = node.with(&text);
    let allowed = [2, 3, 4].map(|last| after.allows(&from_node(last)));
    assert_eq!(allowed, [true, false, false], "{text}");
    assert_eq!(found.left.len(), 1);
    for says in [
        "no label kubernetes.io/hostname",
        "try: a label",
        "--by entity",
    ] {
        assert!(found.left[0].contains(says), "{:?}", found.left);
    }
    // Who asks for the entity gets it, and is told.
    let chosen = node.choose(&[from_node(4)]);
    let found = suggest(&node.base(), &chosen, By::Entity, None, "head").unwrap();
    let text = found.text.unwrap();
    assert!(text.contains("    - remote-node\n"), "{text}");
    assert!(
        text.contains("# also allows: 10.0.0.2 (node n2), 10.0.0.3 (node n3)"),
        "{text}"
    );
    assert!(text.contains("is more\n# than was chosen"), "{text}");
    assert!(!text.contains("nothing else"), "{text}");
    // All of them are the entity.
    let all = [from_node(2), from_node(3), from_node(4)];
    let text = node.suggest(&all, By::Auto);
    assert!(text.contains("    - remote-node\n"), "{text}");
    assert!(!text.contains("also allows"), "{text}");
}

#[test]
fn nodes_that_share_a_hostname_are_allowed_together_or_not_at_all() {
    let shared = "kubernetes.io/hostname: twin";
    let node = nodes(&[
        ("a", 2, shared),
        ("b", 3, shared),
        ("c", 4, "kubernetes.io/hostname: c"),
    ]);
    let found = node.suggestion(&[from_node(2)], By::Auto);
    assert!(found.text.is_none(), "{:?}", found.text);
    assert!(
        found.left[0].contains("node b has the same labels"),
        "{:?}",
        found.left
    );
    let text = node.suggest(&[from_node(2), from_node(3)], By::Auto);
    assert_eq!(
        text.matches("kubernetes.io/hostname: twin").count(),
        1,
        "{text}"
    );
    let after = node.with(&text);
    let allowed = [2, 3, 4].map(|last| after.allows(&from_node(last)));
    assert_eq!(allowed, [true, true, false], "{text}");
    // Other labels may tell them apart.
    let (r1, r2) = (format!("{shared}, rack: r1"), format!("{shared}, rack: r2"));
    let node = nodes(&[("a", 2, &r1), ("b", 3, &r2), ("c", 4, "")]);
    let text = node.suggest(&[from_node(2)], By::Auto);
    let after = node.with(&text);
    let allowed = [2, 3, 4].map(|last| after.allows(&from_node(last)));
    assert_eq!(allowed, [true, false, false], "{text}");
}

#[test]
fn entries_for_nodes_are_peers_of_their_own() {
    let entry =
        |last: u8| format!("  - {{prefix: 10.0.0.{last}/32, labels: ['reserved:remote-node']}}\n");
    let head = "apiVersion: fw-ctl.io/v1\nkind: AddressIdentities\nspec:\n  entries:\n";
    let node = Node::denying(&[head, &entry(2), &entry(3)].concat());
    let found = node.suggestion(&[from_node(2)], By::Auto);
    assert!(found.text.is_none(), "{:?}", found.text);
    assert!(
        found.left[0].contains("lack k8s:io.cilium.k8s.policy.cluster=default"),
        "{:?}",
        found.left
    );
    let text = node.suggest(&[from_node(2), from_node(3)], By::Auto);
    assert!(text.contains("    - remote-node\n"), "{text}");
}
