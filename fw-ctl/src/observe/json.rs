//! Flows as `hubble observe -o jsonpb` prints them: protojson of
//! `GetFlowsResponse` with proto names (Cilium `api/v1/flow/flow.proto`). As in
//! protojson, a field with its zero value is left out.

use fw_common::wire::DropReason;
use serde_json::{Map, Value, json};

use super::clock::rfc3339;
use super::text::{self, HOST_ENDPOINT};
use super::{Endpoint, HOST, Lost, Message, Record, Told, icmp};
use crate::policy::label::CLUSTER;

/// Who tells a flow, beside the version of it.
pub const EMITTER: &str = "fw-ctl";

/// One line of `-o json`.
#[must_use]
pub fn flow(record: &Record, message: Message) -> Value {
    let time = rfc3339(record.time);
    let mut flow = Map::new();
    let mut put = |key: &str, value: Value| {
        if !is_zero(&value) {
            flow.insert(key.to_owned(), value);
        }
    };
    put("time", json!(time));
    // One that was told; others have no number yet.
    if record.number != 0 {
        put("uuid", json!(record.uuid(message)));
    }
    let (verdict, reason) = match record.told {
        Told::Allow => ("FORWARDED", None),
        Told::Deny => ("DROPPED", record.drop_reason()),
        Told::Audit => ("AUDIT", record.drop_reason()),
    };
    put("verdict", json!(verdict));
    if let Some(reason) = reason.filter(|_| record.told == Told::Deny) {
        put("drop_reason", json!(reason.number()));
        put("drop_reason_desc", json!(drop_reason_desc(reason)));
    }
    put("IP", ip(record));
    put("l4", l4(record));
    put("source", endpoint(&record.source));
    put("destination", endpoint(&record.destination));
    put("Type", json!("L3_L4"));
    put("node_name", json!(record.node));
    put("node_labels", json!(record.node_labels));
    put(
        "event_type",
        match (message, reason) {
            (Message::Drop, Some(reason)) => {
                json!({"type": message.number(), "sub_type": reason.number()})
            }
            _ => json!({"type": message.number()}),
        },
    );
    put(
        "traffic_direction",
        json!(if record.ingress { "INGRESS" } else { "EGRESS" }),
    );
    if message == Message::PolicyVerdict {
        put(
            "policy_match_type",
            json!(match_number(record.match_type())),
        );
    }
    put(
        "interface",
        without_zeros(json!({"index": record.ifindex, "name": record.interface})),
    );
    // Hubble has no field for it. Its reader of such lines warns once of what it does not
    // know and goes on (Cilium `hubble/cmd/observe/io_reader_observer.go`).
    put("vlan", json!(record.vlan));
    put(
        "emitter",
        json!({"name": EMITTER, "version": env!("CARGO_PKG_VERSION")}),
    );
    put("Summary", json!(summary(record)));
    if let Some((key, policies)) = decided_by(record) {
        put(key, policies);
    }
    put("policy_log", json!(record.policy_log().as_slice()));
    // A BoolValue: present although false.
    if let Some(is_reply) = record.is_reply() {
        flow.insert("is_reply".into(), json!(is_reply));
    }
    json!({"flow": flow, "node_name": record.node, "time": time})
}

/// The same of what was lost; a number of 64 bits is a text there.
#[must_use]
pub fn lost(lost: &Lost) -> Value {
    let mut event = json!({
        "source": lost.source.name(),
        "num_events_lost": lost.count.to_string(),
    });
    if let Some(cpu) = lost.cpu {
        event["cpu"] = json!(cpu);
    }
    json!({"lost_events": event, "node_name": lost.node, "time": rfc3339(lost.time)})
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_u64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(_) => false,
    }
}

fn without_zeros(mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.retain(|_, value| !is_zero(value));
    }
    value
}

fn ip(record: &Record) -> Value {
    let version = match record.family {
        4 => "IPv4",
        6 => "IPv6",
        _ => return Value::Null,
    };
    json!({
        "source": record.source.address.to_string(),
        "destination": record.destination.address.to_string(),
        "ipVersion": version,
    })
}

fn l4(record: &Record) -> Value {
    let ports = || {
        json!({
            "source_port": record.source.port,
            "destination_port": record.destination.port,
        })
    };
    let icmp = || json!({"type": record.icmp_type, "code": record.icmp_code});
    match record.protocol {
        _ if record.family == 0 => Value::Null,
        6 => {
            let mut tcp = without_zeros(ports());
            let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
            let flags: Map<_, _> = names
                .iter()
                .enumerate()
                .filter(|(bit, _)| record.tcp_flags & (1 << bit) != 0)
                .map(|(_, name)| ((*name).to_owned(), json!(true)))
                .collect();
            tcp["flags"] = Value::Object(flags);
            json!({"TCP": tcp})
        }
        17 => json!({"UDP": without_zeros(ports())}),
        132 => json!({"SCTP": without_zeros(ports())}),
        1 => json!({"ICMPv4": without_zeros(icmp())}),
        58 => json!({"ICMPv6": without_zeros(icmp())}),
        _ => Value::Null,
    }
}

fn endpoint(endpoint: &Endpoint) -> Value {
    let id = if endpoint.identity.number == HOST {
        HOST_ENDPOINT
    } else {
        0
    };
    without_zeros(json!({
        "ID": id,
        "identity": endpoint.identity.number,
        "cluster_name": endpoint.label(CLUSTER),
        "namespace": endpoint.namespace(),
        "labels": endpoint.identity.labels,
        "pod_name": endpoint.pod,
    }))
}

/// Names of flow.proto's enum `DropReason`.
#[must_use]
pub fn drop_reason_desc(reason: DropReason) -> &'static str {
    match reason {
        DropReason::DefaultDeny => "POLICY_DENIED",
        DropReason::DenyRule => "POLICY_DENY",
        DropReason::Invalid | DropReason::TinyFragment | DropReason::FragmentOverlap => {
            "INVALID_PACKET_DROPPED"
        }
        DropReason::ExtensionHeaders => "INVALID_IPV6_EXTENSION_HEADER",
        DropReason::FragmentWithoutFirst => "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND",
        DropReason::VlanTags | DropReason::ArpOff => "UNSUPPORTED_L2_PROTOCOL",
        DropReason::FragmentLimit => "IP_FRAGMENTATION_NOT_SUPPORTED",
        DropReason::RateLimited => "DROP_RATE_LIMITED",
        DropReason::VlanNotAdmitted => "VLAN_FILTERED",
    }
}

/// Cilium `pkg/monitor/api/types.go`, `PolicyMatchType`.
#[must_use]
pub fn match_number(name: &str) -> u8 {
    match name {
        "L3-Only" => 1,
        "L3-L4" => 2,
        "L4-Only" => 3,
        "all" => 4,
        "L3-Proto" => 5,
        "Proto-Only" => 6,
        _ => 0,
    }
}

/// `TCP Flags: SYN`, `UDP`, `ICMPv4 EchoRequest`.
#[must_use]
pub fn summary(record: &Record) -> String {
    let icmp = |v6| icmp::name(v6, record.icmp_type, record.icmp_code);
    match record.protocol {
        _ if record.family == 0 => String::new(),
        6 => format!("TCP Flags: {}", text::tcp_flags(record.tcp_flags)),
        17 => "UDP".into(),
        132 => "SCTP".into(),
        1 => format!("ICMPv4 {}", icmp(false)),
        58 => format!("ICMPv6 {}", icmp(true)),
        112 => "VRRP".into(),
        2 => "IGMP".into(),
        other => format!("protocol {other}"),
    }
}

/// The policy behind the verdict. Only clusterwide policies select a node.
fn decided_by(record: &Record) -> Option<(&'static str, Value)> {
    let policy = record.decided_by()?;
    let key = match (record.ingress, record.told) {
        (true, Told::Allow) => "ingress_allowed_by",
        (true, _) => "ingress_denied_by",
        (false, Told::Allow) => "egress_allowed_by",
        (false, _) => "egress_denied_by",
    };
    let policy = json!({"name": policy, "kind": "CiliumClusterwideNetworkPolicy"});
    Some((key, json!([policy])))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Identity;
    use super::super::text::tests::record;
    use super::*;

    #[test]
    fn an_audited_connection() {
        let expected = json!({
            "flow": {
                "time": "2026-11-21T04:06:23.000000123Z",
                "verdict": "AUDIT",
                "IP": {"source": "10.0.2.2", "destination": "10.0.2.15", "ipVersion": "IPv4"},
                "l4": {"TCP": {"source_port": 47500, "destination_port": 6443, "flags": {"SYN": true}}},
                "source": {"identity": 2, "labels": ["reserved:world"]},
                "destination": {"ID": 1, "identity": 1, "labels": ["reserved:host"]},
                "Type": "L3_L4",
                "node_name": "default/node1",
                "node_labels": ["rack=b", "zone=1"],
                "event_type": {"type": 5},
                "traffic_direction": "INGRESS",
                "interface": {"index": 2, "name": "eth0"},
                "emitter": {"name": "fw-ctl", "version": env!("CARGO_PKG_VERSION")},
                "Summary": "TCP Flags: SYN",
                "ingress_denied_by": [{"name": "host-all", "kind": "CiliumClusterwideNetworkPolicy"}],
            },
            "node_name": "default/node1",
            "time": "2026-11-21T04:06:23.000000123Z",
        });
        assert_eq!(flow(&record(), Message::PolicyVerdict), expected);
    }

    #[test]
    fn a_pod_is_named() {
        let mut from_pod = record();
        from_pod.source.pod = "web-0".into();
        from_pod.source.identity = Arc::new(Identity {
            number: 4_711,
            labels: vec![
                "k8s:io.cilium.k8s.policy.cluster=default".into(),
                "k8s:io.kubernetes.pod.namespace=shop".into(),
            ],
        });
        let source = json!({
            "identity": 4_711,
            "cluster_name": "default",
            "namespace": "shop",
            "labels": from_pod.source.identity.labels,
            "pod_name": "web-0",
        });
        let told = flow(&from_pod, Message::PolicyVerdict);
        assert_eq!(told["flow"]["source"], source);
    }

    #[test]
    fn a_tagged_packet_has_its_vlan() {
        let mut tagged = record();
        assert_eq!(
            flow(&tagged, Message::PolicyVerdict)["flow"].get("vlan"),
            None
        );
        tagged.vlan = 212;
        assert_eq!(flow(&tagged, Message::PolicyVerdict)["flow"]["vlan"], 212);
    }

    #[test]
    fn a_drop_has_its_reason_twice_and_as_sub_type() {
        let mut dropped = record();
        dropped.told = Told::Deny;
        dropped.reason = Some(1);
        let json = flow(&dropped, Message::Drop);
        assert_eq!(json["flow"]["verdict"], "DROPPED");
        assert_eq!(json["flow"]["drop_reason"], 181);
        assert_eq!(json["flow"]["drop_reason_desc"], "POLICY_DENY");
        assert_eq!(
            json["flow"]["event_type"],
            json!({"type": 1, "sub_type": 181})
        );
        assert_eq!(json["flow"].get("is_reply"), None);
    }

    #[test]
    fn an_allowed_packet_is_no_reply() {
        let mut allowed = record();
        allowed.told = Told::Allow;
        allowed.reason = None;
        allowed.ingress = false;
        let rule = Arc::make_mut(allowed.rule.as_mut().unwrap());
        rule.match_type = "L3-L4".into();
        rule.log = "ticket 4711".into();
        let json = flow(&allowed, Message::PolicyVerdict);
        assert_eq!(json["flow"]["verdict"], "FORWARDED");
        assert_eq!(json["flow"]["is_reply"], false);
        assert_eq!(json["flow"]["policy_match_type"], 2);
        assert_eq!(json["flow"]["egress_allowed_by"][0]["name"], "host-all");
        assert_eq!(json["flow"]["policy_log"], json!(["ticket 4711"]));
    }

    #[test]
    fn every_reason_has_its_protobuf_name() {
        // The numbers are those of flow.proto; a wrong row here shows as a wrong name there.
        let names: Vec<_> = fw_common::wire::DROP_REASONS
            .iter()
            .map(|row| (row.1, drop_reason_desc(row.0)))
            .collect();
        assert_eq!(
            names,
            [
                (133, "POLICY_DENIED"),
                (181, "POLICY_DENY"),
                (134, "INVALID_PACKET_DROPPED"),
                (156, "INVALID_IPV6_EXTENSION_HEADER"),
                (175, "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND"),
                (166, "UNSUPPORTED_L2_PROTOCOL"),
                (134, "INVALID_PACKET_DROPPED"),
                (134, "INVALID_PACKET_DROPPED"),
                (157, "IP_FRAGMENTATION_NOT_SUPPORTED"),
                (198, "DROP_RATE_LIMITED"),
                (182, "VLAN_FILTERED"),
                (166, "UNSUPPORTED_L2_PROTOCOL"),
            ]
        );
    }
}
