//! Random policies. Only what reading accepts: its refusals have tests of their own.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::{ICMP_TYPES, PORTS, PREFIXES, VLAN_SETS, prefix};

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

/// One clusterwide policy without a name.
pub(super) fn policy() -> impl Strategy<Value = Value> {
    let rate = prop_oneof![
        3 => Just(None),
        1 => select(vec!["1/h", "1/s per /24", "5/m per /32 /128 burst 1"]).prop_map(Some),
    ];
    let vlans = prop_oneof![2 => Just(None), 1 => select(VLAN_SETS.to_vec()).prop_map(Some)];
    (vec(spec(), 1..3), rate, vlans).prop_map(|(mut specs, rate, vlans)| {
        let has = |specs: &[Value], list| specs.iter().any(|spec| spec.get(list).is_some());
        let mut metadata = json!({});
        if let Some(rate) = rate.filter(|_| has(&specs, "ingress")) {
            metadata["annotations"]["fw-ctl.io/rate"] = json!(rate);
            // A rate is for ingress, and beside egress rules it is refused.
            for spec in &mut specs {
                let fields = spec.as_object_mut().unwrap();
                fields.remove("egress");
                if !["ingress", "ingressDeny", "egressDeny"]
                    .iter()
                    .any(|list| fields.contains_key(*list))
                {
                    fields.insert("ingress".to_owned(), json!([{}]));
                }
            }
        }
        if let Some(vlans) = vlans {
            metadata["annotations"]["fw-ctl.io/vlans"] = json!(vlans);
        }
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy",
            "metadata": metadata, "specs": specs,
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
        select(vec!["first", "second", "list", "absent"]),
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
