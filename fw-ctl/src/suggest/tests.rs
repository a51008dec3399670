use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::audit::{Answer, Class, Entry, Group, SCHEMA, Select, Source, groups};
use crate::config::Config;
use crate::daemon::Inputs;
use crate::daemon::sources::compile_known;
use crate::diagnostic;
use crate::harm::{Because, Way};
use crate::lists::ListFiles;

const SETS: [&str; 4] = ["rke2", "rke2-optional", "netpol-demo", "plain-host"];

/// The node `server1` of the shipped inventory.
struct Node {
    compiled: Compiled,
    inventory: Inventory,
}

impl Node {
    fn of(config: &Config) -> Self {
        let (inputs, unreadable) = Inputs::read(config, &ListFiles::default());
        let (compiled, inventory) = compile_known(Arc::new(inputs), unreadable).unwrap();
        Self {
            compiled,
            inventory,
        }
    }

    fn shipped(set: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
        let mut config = Config::default();
        config.node.name = "server1".into();
        config.failsafe.inbound = Vec::new();
        config.policy.dirs = vec![root.join("policies").join(set)];
        config.policy.inventory = vec![root.join("inventory/example.yaml")];
        Self::of(&config)
    }

    fn base(&self) -> Base<'_> {
        Base {
            compiled: &self.compiled,
            inventory: &self.inventory,
        }
    }

    fn choose(&self, entries: &[Entry]) -> Chosen {
        choose(&self.base(), &rows(entries), |row| {
            format!("row {}", row.service())
        })
    }

    fn suggest(&self, entries: &[Entry], by: By) -> Result<String, String> {
        suggest(&self.base(), &self.choose(entries), by, None, &[])
    }

    /// With a policy more.
    fn with(&self, text: &str) -> Self {
        let mut inputs = Inputs::clone(&self.compiled.inputs);
        inputs.policies.push(Arc::new(diagnostic::Source {
            name: "suggested.yaml".into(),
            text: text.to_owned(),
        }));
        let (compiled, inventory) = compile_known(Arc::new(inputs), Vec::new()).unwrap();
        Self {
            compiled,
            inventory,
        }
    }

    fn allows(&self, entry: &Entry) -> bool {
        let flow = entry.seen(0).flow();
        let plan = &self.compiled.plan;
        let word = plan.lookup(flow.direction, entry.vlan, entry.remote, flow.service());
        word.is_allow()
    }

    fn labels(&self, entry: &Entry) -> String {
        self.compiled.identities.labels(entry.remote).to_string()
    }
}

fn entry(way: Way, remote: &str, protocol: u8, service: u16) -> Entry {
    let remote: IpAddr = remote.parse().unwrap();
    Entry {
        dropped: false,
        direction: way,
        protocol,
        service,
        vlan: 0,
        local: if remote.is_ipv4() {
            "10.0.0.10".parse().unwrap()
        } else {
            "2001:db8:0:10::10".parse().unwrap()
        },
        remote,
        source: 0,
        class: Class::Policy,
        first: 0,
        last: 0,
        count: 1,
        passes: false,
        because: Because {
            reason: "default-deny".into(),
            policy: String::new(),
            rule: String::new(),
            origin: String::new(),
        },
    }
}

fn rows(entries: &[Entry]) -> Vec<Group> {
    let answer = Answer {
        schema: SCHEMA,
        mode: "audit".into(),
        now: 0,
        sources: vec![Source {
            name: "world".into(),
            entity: Some("world".into()),
            labels: Vec::new(),
        }],
        entries: entries.to_vec(),
        displaced_audited: 0,
        displaced_dropped: 0,
        notes: Vec::new(),
    };
    let select = Select {
        addresses: true,
        ..Select::default()
    };
    groups(&answer, &select)
}

use Way::{Egress, Ingress};

const NARROW: &str = r#"apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: suggested
spec:
  # the nodes that rke2-egress (egress.yaml:17) selects, which denies it
  nodeSelector: {}
  # it only adds: it denies nothing by itself
  enableDefaultDeny:
    egress: false
  egress:
  # row 514/UDP syslog
  - toCIDR:
    - "198.51.100.9/32"
    toPorts:
    - ports:
      - port: "514"
        protocol: UDP
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: suggested-2
spec:
  # the nodes that rke2-etcd (etcd.yaml:21) selects, which denies it
  nodeSelector:
    matchLabels:
      node-role.kubernetes.io/etcd: "true"
  # it only adds: it denies nothing by itself
  enableDefaultDeny:
    ingress: false
  ingress:
  # row 9102/TCP
  # row 9100/TCP
  # row 9101/TCP
  # also allows: 2001:db8:0:10::21 (node agent1)
  - fromNodes:
    - matchLabels:
        kubernetes.io/hostname: agent1
    toPorts:
    - ports:
      - port: "9100"
        endPort: 9102
        protocol: TCP
  # row 2222/TCP
  # row 2222/TCP
  - fromCIDR:
    - "198.51.100.6/31"
    toPorts:
    - ports:
      - port: "2222"
        protocol: TCP
  # row ICMPv6 DestinationUnreachable
  - fromCIDR:
    - "2001:db8:7::7/128"
    icmps:
    - fields:
      - family: IPv6
        type: 1 # DestinationUnreachable"#;

#[test]
fn each_peer_is_named_as_narrowly_as_can_be() {
    let node = Node::shipped("rke2");
    let entries = [
        entry(Ingress, "10.0.0.21", 6, 9100),
        entry(Ingress, "10.0.0.21", 6, 9101),
        entry(Ingress, "10.0.0.21", 6, 9102),
        entry(Ingress, "198.51.100.6", 6, 2222),
        entry(Ingress, "198.51.100.7", 6, 2222),
        entry(Ingress, "2001:db8:7::7", 58, 1),
        entry(Egress, "198.51.100.9", 17, 514),
    ];
    let text = node.suggest(&entries, By::Auto).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/policies/rke2/");
    let text = text.replace(&root.display().to_string(), "");
    assert_eq!(text, NARROW);
}

#[test]
fn entities_are_named_where_all_of_them_were_seen() {
    let node = Node::shipped("rke2");
    let (server, agent) = ("10.0.0.12", "10.0.0.21");
    let entries = [server, agent].map(|peer| entry(Ingress, peer, 6, 9100));
    let text = node.suggest(&entries, By::Auto).unwrap();
    assert!(
        text.contains("  - fromEntities:\n    - remote-node\n    toPorts:"),
        "{text}"
    );
    assert!(
        text.contains("# also allows: "),
        "the IPv6 addresses: {text}"
    );
    let text = node.suggest(&entries, By::Labels).unwrap();
    assert!(text.contains("kubernetes.io/hostname: agent1"), "{text}");
    assert!(text.contains("kubernetes.io/hostname: server2"), "{text}");
    let text = node.suggest(&entries[..1], By::Entity).unwrap();
    assert!(
        text.contains("  - fromEntities:\n    - kube-apiserver\n"),
        "{text}"
    );
    let refused = node.suggest(&entries, By::Cidr).unwrap_err();
    assert!(refused.contains("inside the cluster"), "{refused}");
}

#[test]
fn what_no_policy_can_allow_is_left_with_the_reason() {
    let node = Node::shipped("plain-host");
    let banned = Because {
        reason: "banned-peer".into(),
        ..entry(Ingress, "192.0.2.1", 6, 1).because
    };
    for (entry, says) in [
        (
            entry(Ingress, "192.0.2.1", 6, 443),
            "the files allow it already",
        ),
        (entry(Ingress, "198.51.100.1", 6, 443), "a deny rule wins"),
        (entry(Ingress, "192.0.2.1", 6, 0), "port 0"),
        (entry(Ingress, "192.0.2.1", 89, 0), "protocol 89"),
        (
            Entry {
                class: Class::Packet,
                ..entry(Ingress, "192.0.2.1", 6, 25)
            },
            "no matter of policy",
        ),
        (
            Entry {
                because: banned,
                ..entry(Ingress, "192.0.2.1", 6, 25)
            },
            "fw-ctl ban remove",
        ),
    ] {
        let chosen = node.choose(&[entry]);
        assert!(chosen.needs.is_empty(), "{says}");
        assert!(chosen.left[0].contains(says), "{says}: {:?}", chosen.left);
    }
    let deny = node.choose(&[entry(Ingress, "198.51.100.1", 6, 443)]);
    assert!(deny.left[0].contains("block-list.yaml:"), "{:?}", deny.left);
    // VRRP can be named, and is.
    let text = node
        .suggest(&[entry(Ingress, "192.0.2.1", 112, 0)], By::Auto)
        .unwrap();
    assert!(text.contains("      - protocol: VRRP"), "{text}");
}

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
    let text = node.suggest(&entries, By::Auto).unwrap();
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
            &[],
        )
    };
    assert!(
        named("suggested").unwrap_err().contains("already (p.yaml)") || named("suggested").is_err()
    );
    assert!(named("Not a name").is_err());
}

#[test]
fn a_text_that_allows_more_or_less_than_was_chosen_is_not_proved() {
    let node = Node::shipped("plain-host");
    let entries = [entry(Ingress, "203.0.113.7", 6, 25)];
    let chosen = node.choose(&entries);
    let base = node.base();
    let drafts = draft::drafts(&base, &chosen.needs, By::Auto, None).unwrap();
    let right = yaml::yaml(&drafts, &chosen, &[], &[]);
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
        let text = match node.suggest(&chosen, by) {
            Ok(text) => text,
            Err(why) => {
                // Only where a peer of the cluster cannot be named so.
                prop_assert!(by == By::Cidr || by == By::Labels, "{why}");
                prop_assert!(why.contains("try: --by auto"), "{why}");
                return Ok(());
            }
        };
        let after = node.with(&text);
        let same = |one: &Entry, other: &Entry| {
            (one.direction, one.protocol, one.service) == (other.direction, other.protocol, other.service)
        };
        for entry in &all {
            let (was, is) = (node.allows(entry), after.allows(entry));
            let wanted = chosen.contains(entry) && needs.iter().any(|need| need.address == entry.remote);
            if wanted && node.choose(std::slice::from_ref(entry)).needs.len() == 1 {
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
                prop_assert!(text.contains("# also allows: "), "{text}");
            }
            prop_assert!(is || !was, "{entry:?}");
        }
    }
}
