//! How pods are named: by the fewest labels that mean them and nobody else.

use super::*;

/// A pod; `more`: labels beside `app`.
fn pod(name: &str, last: u8, app: &str, more: &str) -> String {
    format!(
        "---\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {app}{more}}}}}\n\
         spec: {{serviceAccountName: default}}\nstatus: {{podIP: 10.42.8.{last}}}\n"
    )
}

fn shop() -> Node {
    let instance = |name: &str, index: u8| {
        format!(
            ", statefulset.kubernetes.io/pod-name: {name}, apps.kubernetes.io/pod-index: '{index}'"
        )
    };
    Node::denying(
        &[
            pod("web-0", 1, "web", ""),
            pod("web-canary", 2, "web", ", canary: 'true'"),
            pod("db-0", 3, "db", &instance("db-0", 0)),
            pod("db-1", 4, "db", &instance("db-1", 1)),
            pod("job-0", 5, "job", ", track: stable"),
            pod("job-1", 6, "job", ", track: beta"),
            pod("job-2", 7, "job", ""),
        ]
        .concat(),
    )
}

fn asking(last: &[u8]) -> Vec<Entry> {
    let entry = |last: &u8| entry(Ingress, &format!("10.42.8.{last}"), 6, 8080);
    last.iter().map(entry).collect()
}

/// The selectors of a text, without the namespace, which all name.
fn selectors(text: &str) -> String {
    let from = text.find("  - fromEndpoints:\n").unwrap();
    let to = text[from..].find("    toPorts:").unwrap();
    let lines = text[from..from + to].lines().skip(1);
    let lines = lines.filter(|line| !line.contains("io.kubernetes.pod.namespace: shop"));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn those_who_ask_for_the_same_are_named_together_and_exactly() {
    let node = shop();
    for (chosen, expected) in [
        // Two that one label means.
        (&[1, 2][..], "- matchLabels: app: web"),
        (&[3, 4], "- matchLabels: app: db"),
        (&[5, 6, 7], "- matchLabels: app: job"),
        // One that has less than another.
        (
            &[1],
            "- matchLabels: app: web matchExpressions: - key: canary operator: DoesNotExist",
        ),
        (&[2], "- matchLabels: app: web canary: \"true\""),
        (
            &[5, 7],
            "- matchLabels: app: job matchExpressions: - key: track operator: NotIn values: - beta",
        ),
        // What names an instance is the last choice.
        (
            &[3],
            "- matchLabels: app: db apps.kubernetes.io/pod-index: \"0\"",
        ),
        (
            &[1, 2, 3, 4],
            "- matchLabels: app: db - matchLabels: app: web",
        ),
    ] {
        let entries = asking(chosen);
        let text = node.suggest(&entries, By::Auto);
        assert_eq!(selectors(&text), expected, "{chosen:?}\n{text}");
        let after = node.with(&text);
        for last in 1..=7 {
            let allowed = after.allows(&asking(&[last])[0]);
            assert_eq!(
                allowed,
                chosen.contains(&last),
                "{last} of {chosen:?}\n{text}"
            );
        }
        assert!(!text.contains("also allows"), "{text}");
    }
}

#[test]
fn each_service_is_for_those_who_asked_for_it() {
    let node = shop();
    let mut entries = asking(&[1, 2]);
    entries.push(entry(Ingress, "10.42.8.1", 6, 9090));
    let text = node.suggest(&entries, By::Auto);
    assert_eq!(text.matches("operator: DoesNotExist").count(), 1, "{text}");
    let after = node.with(&text);
    assert!(entries.iter().all(|entry| after.allows(entry)), "{text}");
    assert!(
        !after.allows(&entry(Ingress, "10.42.8.2", 6, 9090)),
        "{text}"
    );
}

/// Labels without the one for the cluster, labels of another cluster, and labels that no
/// policy can write: alone, and beside one that can be written.
const STRANGE: &str = r#"
apiVersion: fw-ctl.io/v1
kind: AddressIdentities
spec:
  entries:
  - prefix: 10.42.1.1/32
    labels: ["k8s:app=other", "k8s:io.kubernetes.pod.namespace=default"]
  - prefix: 10.42.1.2/32
    labels: ["k8s:app=far", "k8s:io.kubernetes.pod.namespace=default", "k8s:io.cilium.k8s.policy.cluster=far"]
  - prefix: 10.42.1.3/32
    labels: ["k8s:app=ev\u001b[31mil", "k8s:io.kubernetes.pod.namespace=default", "k8s:io.cilium.k8s.policy.cluster=default"]
  - prefix: 10.42.1.4/32
    labels: ["k8s:app=good", "k8s:io.kubernetes.pod.namespace=bad\u001bspace", "k8s:io.cilium.k8s.policy.cluster=default"]
  - prefix: 10.42.1.5/32
    labels: ["k8s:io.kubernetes.pod.namespace=default", "k8s:io.cilium.k8s.policy.cluster=default"]
  - prefix: 10.42.1.6/32
    labels: ["k8s:app=twin", "k8s:x=\u001b", "k8s:io.kubernetes.pod.namespace=default", "k8s:io.cilium.k8s.policy.cluster=default"]
  - prefix: 10.42.1.7/32
    labels: ["k8s:app=twin", "k8s:io.kubernetes.pod.namespace=default", "k8s:io.cilium.k8s.policy.cluster=default"]
"#;

#[test]
fn what_cannot_be_named_is_left_out_with_the_reason_and_the_rest_is_not() {
    let node = Node::denying(STRANGE);
    let of = |address: &str| entry(Ingress, address, 6, 8080);
    let all = ["10.42.1.1", "10.42.1.2", "10.42.1.3", "10.42.1.4"].map(of);
    let chosen = node.choose(&all);
    let found = suggest(&node.base(), &chosen, By::Auto, None, "head").unwrap();
    let text = found.text.unwrap();
    assert!(text.contains("app: far"), "{text}");
    assert!(text.contains("io.cilium.k8s.policy.cluster: far"), "{text}");
    let after = node.with(&text);
    let allowed: Vec<bool> = all.iter().map(|entry| after.allows(entry)).collect();
    assert_eq!(allowed, [false, true, false, false], "{text}");
    assert_eq!(found.left.len(), 3, "{:?}", found.left);
    for (address, says) in [
        ("10.42.1.1", "lack k8s:io.cilium.k8s.policy.cluster=default"),
        ("10.42.1.3", "label \"app\" with the value \"ev [31mil\""),
        ("10.42.1.4", "with the value \"bad space\""),
    ] {
        let line = found.left.iter().find(|line| line.contains(says));
        let line = line.unwrap_or_else(|| panic!("{address}: {:?}", found.left));
        assert!(
            line.starts_with("row ") && !line.contains("nobody else"),
            "{line}"
        );
        let comment = format!("# not allowed by this: {line}\n");
        assert!(text.contains(&comment), "{comment}{text}");
    }
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    // Nothing at all is no policy.
    let none = node.suggestion(&[of("10.42.1.1")], By::Auto);
    assert!(none.text.is_none() && none.left.len() == 1);
}

#[test]
fn what_cannot_be_written_does_not_matter_where_others_tell() {
    let node = Node::denying(STRANGE);
    let twins = ["10.42.1.6", "10.42.1.7"].map(|peer| entry(Ingress, peer, 6, 8080));
    let text = node.suggest(&twins, By::Auto);
    assert_eq!(text.matches("app: twin").count(), 1, "{text}");
    // Of the two only one has something that a policy would have to write.
    let found = node.suggestion(&twins[..1], By::Auto);
    assert!(found.text.is_none(), "{:?}", found.text);
    assert!(
        found.left[0].contains("no policy can write"),
        "{:?}",
        found.left
    );
    // One without labels is told by what others have.
    let bare = entry(Ingress, "10.42.1.5", 6, 8080);
    let text = node.suggest(std::slice::from_ref(&bare), By::Labels);
    let after = node.with(&text);
    assert!(after.allows(&bare) && !after.allows(&twins[1]), "{text}");
}

#[test]
fn what_works_is_advised_where_addresses_do_not() {
    let node = Node::denying(&[&pod("web", 1, "web", ""), "---", STRANGE].concat());
    let found = node.suggestion(&asking(&[1]), By::Cidr);
    assert!(
        found.left[0].contains("inside the cluster"),
        "{:?}",
        found.left
    );
    assert!(found.left[0].contains("try: --by auto"), "{:?}", found.left);
    let found = node.suggestion(&[entry(Ingress, "10.42.1.1", 6, 80)], By::Cidr);
    assert!(!found.left[0].contains("--by auto"), "{:?}", found.left);
    assert!(found.left[0].contains("lack k8s:"), "{:?}", found.left);
}

#[test]
fn replicas_are_one_peer_by_all_their_addresses() {
    let node = Node::denying(&[pod("web-0", 1, "web", ""), pod("web-1", 2, "web", "")].concat());
    let chosen = node.choose(&asking(&[1]));
    let found = suggest(&node.base(), &chosen, By::Auto, None, "head").unwrap();
    let text = found.text.unwrap();
    assert!(
        text.contains("# the same by other addresses: 10.42.8.2 (app=web in shop)"),
        "{text}"
    );
    assert!(
        text.contains("by all addresses of\n# these peers, and nothing else"),
        "{text}"
    );
}
