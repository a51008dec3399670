//! That more and less than was chosen is not proved.

use proptest::prelude::*;

use super::*;

#[test]
fn a_text_that_allows_more_or_less_than_was_chosen_is_not_proved() {
    let node = Node::shipped("plain-host");
    let entries = [entry(Ingress, "203.0.113.7", 6, 25)];
    let chosen = node.choose(&entries);
    let base = node.base();
    let drafts = draft::drafts(&base, &chosen.needs, By::Auto, None)
        .unwrap()
        .drafts;
    let frame = yaml::Frame {
        rows: &chosen.rows,
        head: "",
        left: &[],
    };
    let right = yaml::yaml(&drafts, &frame, &proof::Notes::default());
    let prove = |text: &str| proof::prove(&base, text, &drafts, &chosen.needs);
    assert!(prove(&right).unwrap().is_empty());
    for (from, to) in [
        ("203.0.113.7/32", "203.0.113.6/31"),
        ("203.0.113.7/32", "203.0.113.8/32"),
        ("port: \"25\"", "port: \"26\""),
        ("port: \"25\"", "port: \"25\"\n        endPort: 26"),
        ("fromCIDR", "toCIDR"),
        ("  ingress:\n", "  ingressDeny:\n"),
        ("name: suggested", "name: other"),
        ("ingress: false", "ingress: maybe"),
    ] {
        let wrong = right.replacen(from, to, 1);
        assert_ne!(wrong, right, "{from}");
        assert!(prove(&wrong).is_err(), "{from} > {to}");
    }
}

/// Peers of every kind, and neighbours of each that were not chosen.
const PEERS: [&str; 14] = [
    "10.0.0.12",
    "2001:db8:0:10::12",
    "10.0.0.21",
    "2001:db8:0:10::21",
    "10.0.9.5",
    "10.42.0.20",
    "10.42.0.21",
    "203.0.113.7",
    "203.0.113.6",
    "198.51.100.9",
    "2001:db8:7::7",
    "2001:db8:7::6",
    "2001:db8:dead::1",
    "224.0.0.18",
];
const SERVICES: [(u8, u16); 12] = [
    (6, 22),
    (6, 23),
    (6, 80),
    (6, 9100),
    (6, 9101),
    (6, 9102),
    (17, 53),
    (17, 8472),
    (132, 9100),
    (1, 8),
    (58, 128),
    (112, 0),
];

fn everything() -> Vec<Entry> {
    let mut all = Vec::new();
    for way in [Ingress, Egress] {
        for peer in PEERS {
            for (protocol, service) in SERVICES {
                let v4 = !peer.contains(':');
                if !(protocol == 1 && !v4 || protocol == 58 && v4) {
                    all.push(entry(way, peer, protocol, service));
                }
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Before and after, of everything: what was chosen is allowed in addition, and else
    /// only what the labels or the entity of a chosen peer mean, too.
    #[test]
    fn exactly_what_was_chosen_is_allowed_in_addition(
        set in 0..SETS.len(),
        by in prop_oneof![Just(By::Auto), Just(By::Cidr), Just(By::Labels), Just(By::Entity)],
        picked in proptest::collection::btree_set(0_usize..318, 1..12),
    ) {
        let node = Node::shipped(SETS[set]);
        let all = everything();
        let chosen: Vec<Entry> = picked.iter().filter_map(|at| all.get(*at).cloned()).collect();
        let needs = node.choose(&chosen).needs;
        prop_assume!(!needs.is_empty());
        let found = node.suggestion(&chosen, by);
        let left = |entry: &Entry| {
            let address = entry.remote.to_string();
            found.left.iter().any(|line| line.contains(&address) || line.contains("inside the cluster"))
        };
        let Some(text) = &found.text else {
            // Only where a peer of the cluster cannot be named so.
            prop_assert!(by == By::Cidr, "{:?}", found.left);
            return Ok(());
        };
        let after = node.with(text);
        let same = |one: &Entry, other: &Entry| {
            (one.direction, one.protocol, one.service) == (other.direction, other.protocol, other.service)
        };
        for entry in &all {
            let (was, is) = (node.allows(entry), after.allows(entry));
            let wanted = chosen.contains(entry) && needs.iter().any(|need| need.address == entry.remote);
            if wanted && !left(entry) && node.choose(std::slice::from_ref(entry)).needs.len() == 1 {
                prop_assert!(is, "{entry:?}\n{text}");
            }
            if is != was && !chosen.contains(entry) {
                prop_assert!(by != By::Cidr, "{entry:?}\n{text}");
                let alike = |other: &&Entry| same(entry, other) && match by {
                    By::Entity => node.labels(other).contains("reserved:"),
                    _ => node.labels(other) == node.labels(entry),
                };
                prop_assert!(chosen.iter().any(|other| alike(&other)), "{entry:?}\n{text}");
                prop_assert!(!node.labels(entry).contains("world"), "{entry:?}\n{text}");
                let says = ["# also allows: ", "# the same by other addresses: "];
                prop_assert!(says.iter().any(|says| text.contains(says)), "{text}");
            }
            prop_assert!(is || !was, "{entry:?}");
        }
    }
}
