//! Random policies, inventories and flows, as texts: what an engine says about
//! them has gone through all of reading, too.
//!
//! Everything is drawn from small pools, so that rules, identities and flows meet
//! often: prefixes nest, ports lie at the edges of ranges, labels are shared.

mod policy;

use fw_common::wire::{Builtin, Direction};
use fw_ctl::compile::{Enforcement, Failsafe};
use fw_ctl::engine::{Context, Flow, read_flows};
use fw_ctl::policy::rules::{CidrMatchMode, ServiceRange};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::{NODE, context_with, options};

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
        "224.0.0.22",
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
        "::",
        "fe80::2",
        "ff02::16",
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
const PORTS: [u16; 10] = [1, 21, 22, 23, 53, 80, 443, 8_080, 65_534, 65_535];
/// Echo and errors; types of built-ins, which differ in who may send them, and one that
/// lies among these and is none.
const ICMP_TYPES: [u8; 12] = [0, 2, 3, 8, 128, 130, 131, 133, 134, 135, 137, 255];
/// Sets of VLANs that nest, overlap, and leave some out.
const VLAN_SETS: [&str; 6] = [
    "212",
    "untagged",
    "untagged,300-310",
    "1-4094",
    "212,300",
    "310-4094",
];
/// VLANs of flows: those at the edges of the sets.
const VLANS: [u16; 8] = [0, 1, 211, 212, 300, 310, 311, 4_094];

/// One random case.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Policies, a `List` in JSON.
    pub policies: String,
    /// Inventory, a `List` in JSON.
    pub inventory: String,
    /// The list `list.netset`.
    pub list: String,
    /// Flows, JSON lines.
    pub flows: String,
    /// When default deny begins.
    pub enforcement: Enforcement,
    /// Which identities CIDR rules may match.
    pub cidr_match_mode: CidrMatchMode,
    /// Bits of the built-ins that are on.
    pub builtins: u32,
    /// Allowances before any policy.
    pub failsafe: Vec<Failsafe>,
    /// The VLANs that are admitted; `None`: all.
    pub vlans: Option<&'static str>,
}

impl Scenario {
    /// What an engine judges by.
    pub fn context(&self) -> Context {
        let mut options = options(self.enforcement, self.cidr_match_mode);
        options.builtins = self.builtins;
        options.failsafe.clone_from(&self.failsafe);
        options.vlans = self.vlans.map(|set| set.parse().unwrap());
        let lists = [("list.netset", self.list.as_str())];
        context_with(&self.policies, &self.inventory, &lists, options)
            .unwrap_or_else(|errors| panic!("{errors}\n{self:#?}"))
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
        vec(policy::policy(), 0..4),
        inventory(),
        vec(line(), 0..5).prop_map(|lines| lines.concat()),
        vec(flow(), 1..40),
        enforcement,
        mode,
        prop_oneof![
            Just(0),
            Just(Builtin::ALL),
            any::<u32>().prop_map(|bits| bits & Builtin::ALL)
        ],
        vec(failsafe(), 0..8),
        prop_oneof![3 => Just(None), 1 => select(VLAN_SETS.to_vec()).prop_map(Some)],
    )
        .prop_map(
            |(
                mut policies,
                inventory,
                list_text,
                flows,
                enforcement,
                cidr_match_mode,
                builtins,
                failsafe,
                vlans,
            )| {
                for (i, policy) in policies.iter_mut().enumerate() {
                    policy["metadata"]["name"] = json!(format!("p{i}"));
                }
                let lines: Vec<String> = flows.iter().map(Value::to_string).collect();
                Scenario {
                    policies: list(&policies),
                    inventory: list(&inventory),
                    list: list_text,
                    flows: lines.join("\n"),
                    enforcement,
                    cidr_match_mode,
                    builtins,
                    failsafe,
                    vlans,
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

/// A line of a list; the first date has passed by [`super::NOW`].
fn line() -> impl Strategy<Value = String> {
    let behind = select(vec![
        "",
        " ; a comment",
        " until=1970-01-01T00:30:00Z",
        " until=1970-01-02 # more",
    ]);
    (prefix(), behind).prop_map(|((_, prefix), behind)| format!("{prefix}{behind}\n"))
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
            origin: String::new(),
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
    let vlan = prop_oneof![1 => Just(None), 2 => select(VLANS.to_vec()).prop_map(Some)];
    (peer, service, any::<bool>(), vlan).prop_map(|((family, peer), mut flow, ingress, vlan)| {
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
        if let Some(vlan) = vlan {
            flow["vlan"] = json!(vlan);
        }
        flow
    })
}
