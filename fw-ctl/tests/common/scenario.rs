//! Random policies, inventories and flows, as texts: what an engine says about
//! them has gone through all of reading, too.
//!
//! Everything is drawn from small pools, so that rules, identities and flows meet
//! often: prefixes nest, ports lie at the edges of ranges, labels are shared.

use fw_common::wire::Direction;
use fw_ctl::compile::{Enforcement, Failsafe};
use fw_ctl::engine::{Context, Flow, read_flows};
use fw_ctl::policy::rules::{CidrMatchMode, ServiceRange};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::{NODE, context, options};

/// Address of the node in each family.
const HOST: [&str; 2] = ["10.0.0.1", "fd00::1"];
/// Peers: known ones, and strangers inside and outside of the prefixes below.
const PEERS: [&[&str]; 2] = [
    &[
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "10.0.1.9",
        "10.1.2.3",
        "10.1.3.1",
        "10.42.1.10",
        "10.42.1.11",
        "192.0.2.1",
        "192.0.2.77",
        "198.51.100.7",
        "203.0.113.10",
        "255.255.255.254",
        "0.0.0.1",
    ],
    &[
        "fd00::1",
        "fd00::2",
        "fd01::10",
        "2001:db8::1",
        "2001:db8:1::1",
        "2001:db8:1:2::3",
        "2001:db9::",
        "ff00::",
        "::1",
    ],
];
/// Prefixes with parts inside them, for CIDR rules, exceptions and identities.
const PREFIXES: [&[&str]; 2] = [
    &[
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.0.0.0/24",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "10.1.2.3/32",
        "10.0.0.2/32",
        "192.0.2.0/24",
        "192.0.2.64/26",
        "203.0.113.0/24",
        "128.0.0.0/1",
    ],
    &[
        "::/0",
        "2001:db8::/32",
        "2001:db8:1::/48",
        "2001:db8:1:2::/64",
        "fd00::/16",
        "2001:db8::1/128",
        "8000::/1",
    ],
];
const ENTITIES: [&str; 14] = [
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "cluster",
    "host",
    "remote-node",
    "kube-apiserver",
    "health",
    "init",
    "unmanaged",
    "ingress",
    "none",
    "cluster-mesh",
];
const PORTS: [u16; 10] = [1, 21, 22, 23, 53, 80, 443, 8_080, 65_534, 65_535];
const ICMP_TYPES: [u8; 5] = [0, 3, 8, 128, 255];

/// One random case.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Policies, a `List` in JSON.
    pub policies: String,
    /// Inventory, a `List` in JSON.
    pub inventory: String,
    /// Flows, JSON lines.
    pub flows: String,
    /// When default deny begins.
    pub enforcement: Enforcement,
    /// Which identities CIDR rules may match.
    pub cidr_match_mode: CidrMatchMode,
    /// Allowances before any policy.
    pub failsafe: Vec<Failsafe>,
}

impl Scenario {
    /// What an engine judges by.
    pub fn context(&self) -> Context {
        let mut options = options(self.enforcement, self.cidr_match_mode);
        options.failsafe.clone_from(&self.failsafe);
        context(&self.policies, &self.inventory, options)
            .unwrap_or_else(|errors| panic!("{errors}\n{}\n{}", self.policies, self.inventory))
    }

    /// The flows, with their direction.
    pub fn read_flows(&self, context: &Context) -> Vec<Flow> {
        read_flows(&self.flows, &context.identities)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.flows))
    }
}

/// Random cases with up to 40 flows each.
pub fn scenarios() -> impl Strategy<Value = Scenario> {
    let enforcement = prop_oneof![
        8 => Just(Enforcement::Default),
        1 => Just(Enforcement::Always),
        1 => Just(Enforcement::Never),
    ];
    let mode = prop_oneof![
        3 => Just(CidrMatchMode::World),
        1 => Just(CidrMatchMode::Nodes),
    ];
    (
        vec(policy(), 0..4),
        inventory(),
        vec(flow(), 1..40),
        enforcement,
        mode,
        vec(failsafe(), 0..8),
    )
        .prop_map(
            |(mut policies, inventory, flows, enforcement, cidr_match_mode, failsafe)| {
                for (i, policy) in policies.iter_mut().enumerate() {
                    policy["metadata"]["name"] = json!(format!("p{i}"));
                }
                let lines: Vec<String> = flows.iter().map(Value::to_string).collect();
                Scenario {
                    policies: list(&policies),
                    inventory: list(&inventory),
                    flows: lines.join("\n"),
                    enforcement,
                    cidr_match_mode,
                    failsafe,
                }
            },
        )
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn family() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0_usize), 1 => Just(1_usize)]
}

fn prefix() -> impl Strategy<Value = (usize, &'static str)> {
    family().prop_flat_map(|family| select(PREFIXES[family]).prop_map(move |p| (family, p)))
}

// ---- inventory ----

fn inventory() -> impl Strategy<Value = Vec<Value>> {
    (labels(), vec((prefix(), identity()), 0..6), groups()).prop_map(
        |(node_labels, random, groups)| {
            let cluster = "k8s:io.cilium.k8s.policy.cluster=default";
            let mut entries: Vec<Value> = HOST
                .iter()
                .map(|host| json!({"prefix": single(host), "labels": ["reserved:host"]}))
                .collect();
            let known: [(&str, Vec<&str>); 7] = [
                (
                    "10.0.0.2",
                    vec!["reserved:remote-node", "node:role=worker", cluster],
                ),
                (
                    "fd00::2",
                    vec!["reserved:remote-node", "node:role=worker", cluster],
                ),
                (
                    "10.0.0.3",
                    vec!["reserved:remote-node", "reserved:kube-apiserver", cluster],
                ),
                (
                    "10.42.1.10",
                    vec!["k8s:app=a", "k8s:io.kubernetes.pod.namespace=x", cluster],
                ),
                (
                    "10.42.1.11",
                    vec!["k8s:app=b", "k8s:io.kubernetes.pod.namespace=y", cluster],
                ),
                (
                    "fd01::10",
                    vec!["k8s:app=a", "k8s:io.kubernetes.pod.namespace=x", cluster],
                ),
                (
                    "203.0.113.10",
                    vec!["reserved:kube-apiserver", "reserved:world-ipv4"],
                ),
            ];
            for (address, labels) in known {
                entries.push(json!({"prefix": single(address), "labels": labels}));
            }
            for ((_, prefix), labels) in random {
                entries.push(json!({"prefix": prefix, "labels": labels}));
            }
            let mut items = vec![
                json!({
                    "apiVersion": "v1", "kind": "Node",
                    "metadata": {"name": NODE, "labels": node_labels},
                }),
                json!({
                    "apiVersion": "fw-ctl.io/v1", "kind": "AddressIdentities",
                    "spec": {"entries": entries},
                }),
            ];
            items.extend(groups);
            items
        },
    )
}

fn single(address: &str) -> String {
    let address: std::net::IpAddr = address.parse().unwrap();
    ipnet::IpNet::from(address).to_string()
}

fn labels() -> impl Strategy<Value = Map<String, Value>> {
    vec(
        (
            select(vec!["role", "rack", "app"]),
            select(vec!["a", "b", "worker"]),
        ),
        0..3,
    )
    .prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect()
    })
}

/// The labels of whole prefixes: world, nodes, pods, and none at all.
fn identity() -> impl Strategy<Value = Vec<String>> {
    let pool: Vec<String> = [
        "reserved:world-ipv4",
        "reserved:world",
        "reserved:remote-node",
        "reserved:health",
        "reserved:kube-apiserver",
        "reserved:unmanaged",
        "k8s:app=a",
        "k8s:app=b",
        "node:role=a",
        "k8s:io.kubernetes.pod.namespace=x",
        "k8s:io.cilium.k8s.policy.cluster=default",
        "k8s:io.cilium.k8s.policy.cluster=other",
    ]
    .map(str::to_owned)
    .to_vec();
    subsequence(pool, 0..4)
}

fn groups() -> impl Strategy<Value = Vec<Value>> {
    let cidrs = || vec(prefix().prop_map(|(_, prefix)| prefix), 0..3);
    (cidrs(), cidrs()).prop_map(|(first, second)| {
        let group = |name: &str, env: &str, cidrs: Vec<&str>| {
            json!({
                "apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup",
                "metadata": {"name": name, "labels": {"env": env}},
                "spec": {"externalCIDRs": cidrs},
            })
        };
        vec![
            group("first", "prod", first),
            group("second", "dev", second),
        ]
    })
}

// ---- policies ----

fn policy() -> impl Strategy<Value = Value> {
    vec(spec(), 1..3).prop_map(|specs| {
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy",
            "metadata": {}, "specs": specs,
        })
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let subject = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"matchLabels": {"role": "a"}})),
        1 => Just(json!({"matchExpressions": [{"key": "rack", "operator": "DoesNotExist"}]})),
    ];
    let items = |direction| (vec(item(direction), 0..4), vec(item(direction), 0..3));
    (
        subject,
        items("from"),
        items("to"),
        option::of(any::<bool>()),
        option::of(any::<bool>()),
    )
        .prop_map(|(subject, ingress, egress, deny_in, deny_out)| {
            let mut spec = json!({"nodeSelector": subject});
            for (field, items) in [
                ("ingress", ingress.0),
                ("ingressDeny", ingress.1),
                ("egress", egress.0),
                ("egressDeny", egress.1),
            ] {
                if !items.is_empty() {
                    spec[field] = json!(items);
                }
            }
            if spec.as_object().unwrap().len() == 1 {
                spec["ingress"] = json!([{}]);
            }
            let mut switch = Map::new();
            for (field, value) in [("ingress", deny_in), ("egress", deny_out)] {
                if let Some(value) = value {
                    switch.insert(field.to_owned(), json!(value));
                }
            }
            if !switch.is_empty() {
                spec["enableDefaultDeny"] = Value::Object(switch);
            }
            spec
        })
}

/// One item of a list whose fields begin with `from` or `to`.
fn item(twin: &'static str) -> impl Strategy<Value = Value> {
    (peers(), services()).prop_map(move |(peers, services)| {
        let mut item = Map::new();
        if let Some((field, list)) = peers {
            item.insert(format!("{twin}{field}"), list);
        }
        if let Some((field, list)) = services {
            item.insert(field.to_owned(), list);
        }
        Value::Object(item)
    })
}

fn peers() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let cidrs = vec(prefix().prop_map(|(_, prefix)| prefix), 0..3);
    prop_oneof![
        2 => Just(None),
        3 => cidrs.prop_map(|list| Some(("CIDR", json!(list)))),
        4 => vec(cidr_rule(), 0..3).prop_map(|list| Some(("CIDRSet", json!(list)))),
        3 => subsequence(ENTITIES.to_vec(), 0..3)
            .prop_map(|list| Some(("Entities", json!(list)))),
        3 => vec(selector(), 0..3).prop_map(|list| Some(("Endpoints", json!(list)))),
        2 => vec(selector(), 0..2).prop_map(|list| Some(("Nodes", json!(list)))),
    ]
}

/// Exceptions must lie inside the prefix, or reading refuses the policy.
fn cidr_rule() -> impl Strategy<Value = Value> {
    let excepts = |within: ipnet::IpNet, family: usize| -> Vec<&'static str> {
        PREFIXES[family]
            .iter()
            .copied()
            .filter(|part| within.contains(&part.parse::<ipnet::IpNet>().unwrap()))
            .collect()
    };
    let cidr = prefix().prop_flat_map(move |(family, prefix)| {
        let parts = excepts(prefix.parse().unwrap(), family);
        let most = parts.len().min(3);
        subsequence(parts, 0..=most).prop_map(move |except| {
            if except.is_empty() {
                json!({"cidr": prefix})
            } else {
                json!({"cidr": prefix, "except": except})
            }
        })
    });
    let group = (
        select(vec!["first", "second", "absent"]),
        option::of(prefix()),
    )
        .prop_map(|(name, except)| match except {
            Some((_, except)) => json!({"cidrGroupRef": name, "except": [except]}),
            None => json!({"cidrGroupRef": name}),
        });
    let by_labels = select(vec!["prod", "dev", "other"])
        .prop_map(|env| json!({"cidrGroupSelector": {"matchLabels": {"env": env}}}));
    prop_oneof![4 => cidr, 2 => group, 1 => by_labels]
}

fn selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(json!({})),
        2 => select(vec![
            ("app", "a"), ("k8s:app", "b"), ("role", "worker"), ("node:role", "a"),
            ("k8s:io.kubernetes.pod.namespace", "x"), ("reserved:health", ""),
            ("io.cilium.k8s.policy.cluster", "other"), ("reserved:host", ""),
        ])
        .prop_map(|(key, value)| json!({"matchLabels": {(key): value}})),
        1 => (
            select(vec!["app", "role", "reserved:remote-node"]),
            select(vec!["In", "NotIn", "Exists", "DoesNotExist"]),
        )
            .prop_map(|(key, operator)| {
                let mut expression = json!({"key": key, "operator": operator});
                if operator.ends_with("In") {
                    expression["values"] = json!(["a", "b"]);
                }
                json!({"matchExpressions": [expression]})
            }),
    ]
}

fn services() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let icmp = vec(
        (select(vec!["IPv4", "IPv6"]), select(ICMP_TYPES.to_vec())),
        0..3,
    )
    .prop_map(|fields| {
        let fields: Vec<Value> = fields
            .into_iter()
            .map(|(family, number)| json!({"family": family, "type": number}))
            .collect();
        Some(("icmps", json!([{"fields": fields}])))
    });
    prop_oneof![
        3 => Just(None),
        4 => vec(vec(port(), 0..3).prop_map(|ports| json!({"ports": ports})), 0..3)
            .prop_map(|rules| Some(("toPorts", json!(rules)))),
        2 => icmp,
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let transport = || select(vec!["TCP", "UDP", "SCTP", "ANY"]);
    let numbered = (
        select(PORTS.to_vec()),
        option::of(select(PORTS.to_vec())),
        transport(),
    )
        .prop_map(|(port, end, protocol)| {
            let mut entry = json!({"port": port.to_string(), "protocol": protocol});
            if let Some(end) = end {
                entry["endPort"] = json!(end);
            }
            entry
        });
    prop_oneof![
        5 => numbered,
        1 => transport().prop_map(|protocol| json!({"port": "0", "protocol": protocol})),
        1 => transport().prop_map(|protocol| json!({"protocol": protocol})),
        1 => select(vec!["VRRP", "IGMP", "GRE", "ESP"])
            .prop_map(|protocol| json!({"protocol": protocol})),
        1 => Just(json!({"port": "http", "protocol": "TCP"})),
    ]
}

fn failsafe() -> impl Strategy<Value = Failsafe> {
    let direction = select(vec![Direction::Ingress, Direction::Egress]);
    (direction, select(PORTS.to_vec()), option::of(prefix())).prop_map(
        |(direction, port, prefix)| Failsafe {
            direction,
            services: vec![ServiceRange::Ports {
                protocol: 6,
                first: port,
                last: port,
            }],
            cidr: prefix.map(|(_, prefix)| prefix.parse().unwrap()),
        },
    )
}

// ---- flows ----

fn flow() -> impl Strategy<Value = Value> {
    let peer =
        family().prop_flat_map(|family| select(PEERS[family]).prop_map(move |p| (family, p)));
    let around = (select(PORTS.to_vec()), 0_u16..3)
        .prop_map(|(port, near)| port.saturating_add(near).saturating_sub(1));
    let service = prop_oneof![
        6 => (select(vec!["TCP", "UDP", "SCTP"]), around)
            .prop_map(|(proto, port)| json!({"proto": proto, "dport": port})),
        2 => select(ICMP_TYPES.to_vec()).prop_map(|number| json!({"icmp_type": number})),
        1 => select(vec!["VRRP", "IGMP", "GRE", "ESP", "AH", "IPIP"])
            .prop_map(|proto| json!({"proto": proto})),
    ];
    (peer, service, any::<bool>()).prop_map(|((family, peer), mut flow, ingress)| {
        let (src, dst, direction) = if ingress {
            (peer, HOST[family], "ingress")
        } else {
            (HOST[family], peer, "egress")
        };
        if flow.get("proto").is_none() {
            flow["proto"] = json!(["ICMP", "ICMPv6"][family]);
        }
        flow["src"] = json!(src);
        flow["dst"] = json!(dst);
        flow["direction"] = json!(direction);
        flow
    })
}
