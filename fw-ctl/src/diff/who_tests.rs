use std::sync::Arc;

use super::*;
use crate::policy::label::Label;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn of(prefixes: &[&str]) -> Addresses {
    Addresses::of(prefixes.iter().map(|prefix| net(prefix)))
}

fn identities(entries: &[(&str, &str)]) -> Identities {
    let labels = |text: &str| Arc::new(text.split(' ').map(Label::parse).collect::<LabelSet>());
    let entries = entries.iter();
    Identities::new(entries.map(|(prefix, text)| (net(prefix), labels(text))))
}

const POD: &str = "k8s:app=web k8s:io.kubernetes.pod.namespace=shop \
                   k8s:io.cilium.k8s.policy.cluster=default";

fn who() -> Who {
    let identities = identities(&[
        ("10.0.0.1/32", "reserved:host"),
        ("10.0.0.2/32", "reserved:remote-node"),
        ("10.0.0.3/32", "reserved:remote-node"),
        ("fd00::3/128", "reserved:remote-node"),
        ("10.42.1.10/32", POD),
        ("10.42.2.10/32", POD),
        ("10.42.3.0/24", "reserved:unmanaged"),
    ]);
    let b = vec!["10.0.0.2".parse().unwrap()];
    let c = vec!["10.0.0.3".parse().unwrap(), "fd00::3".parse().unwrap()];
    let bad = of(&["192.0.2.0/28", "198.51.100.7/32"]);
    Who::new(
        &identities,
        [("b", b), ("c", c)],
        [("bad", bad)],
        vec![net("203.0.113.0/24")],
    )
}

fn text(prefixes: &[&str]) -> String {
    who().describe(&of(prefixes)).text(4)
}

#[test]
fn those_that_are_known_have_names() {
    for (prefixes, expected) in [
        (&["203.0.113.7/32"][..], "203.0.113.7"),
        (&["10.0.0.2/32"], "10.0.0.2 (node b)"),
        (&["10.0.0.3/32", "fd00::3/128"], "node c"),
        (&["10.0.0.3/32"], "10.0.0.3 (node c)"),
        (&["10.0.0.2/31", "fd00::3/128"], "every other node"),
        (&["10.42.1.10/32", "10.42.2.10/32"], "app=web in shop"),
        (&["10.42.1.10/32"], "10.42.1.10 (app=web in shop)"),
        (&["10.42.3.0/25"], "10.42.3.0/25 (unmanaged)"),
        (
            &["192.0.2.0/28", "198.51.100.6/31"],
            "CIDR group bad (2 prefixes), 198.51.100.6",
        ),
        (&["10.0.0.1/32"], "this node"),
        (&["0.0.0.0/0", "::/0"], "everybody"),
    ] {
        assert_eq!(text(prefixes), expected);
    }
}

#[test]
fn nearly_everybody_is_told_by_who_is_left_out() {
    let all = Addresses::all();
    let left = all.without(&of(&["192.0.2.0/28", "198.51.100.7/32", "10.0.0.2/32"]));
    let text = who().describe(&left).text(4);
    assert_eq!(
        text,
        "everybody but CIDR group bad (2 prefixes), 10.0.0.2 (node b)"
    );
    let outside = who().outside;
    assert_eq!(
        who().describe(&outside).text(9),
        "everybody outside of the cluster"
    );
    let nobody_known = Who::new(&Identities::default(), [], [], vec![]);
    assert_eq!(
        nobody_known.describe(&of(&["0.0.0.0/0"])).text(4),
        "everybody on IPv4"
    );
}

#[test]
fn what_a_rule_has_is_named_by_what_is_missing() {
    let whole = of(&["203.0.113.0/24"]);
    let text = |out: &[&str]| who().describe(&whole.without(&of(out))).text(9);
    assert_eq!(
        text(&["203.0.113.66/32"]),
        "203.0.113.0/24 but 203.0.113.66"
    );
    assert_eq!(
        text(&["203.0.113.66/32", "203.0.113.4/31"]),
        "203.0.113.0/24 but 203.0.113.4/31 and 203.0.113.66"
    );
    assert_eq!(text(&["203.0.113.128/25"]), "203.0.113.0/25");
    // Of the first half one is missing, the second is not there.
    assert_eq!(
        text(&["203.0.113.7/32", "203.0.113.128/25"]),
        "203.0.113.0/24 but 203.0.113.7 and 203.0.113.128/25"
    );
    let v4 = of(&["0.0.0.0/0"]);
    let all_but = |out: &[&str]| who().describe(&v4.without(&of(out))).text(9);
    assert_eq!(
        all_but(&["203.0.113.66/32", "10.0.0.2/32"]),
        "everybody on IPv4 but 203.0.113.66, 10.0.0.2 (node b)"
    );
}

#[test]
fn many_are_counted() {
    let many: Vec<String> = (0..200).map(|i| format!("203.0.{i}.1/32")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let described = who().describe(&of(&many));
    assert_eq!((described.names.len(), described.count), (KEPT, 200));
    assert_eq!(described.text(2), "203.0.0.1, 203.0.1.1 and 198 more");
}
