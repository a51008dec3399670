//! The API and `observe -o json` say the same of a flow, field by field: what is on the wire is
//! read with the names of the published API alone, and put in the words of protojson.

use std::sync::Arc;

use fw_common::wire::DROP_REASONS;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::hubble::flows::whole;
use crate::hubble::mask::{field, varint};
use crate::hubble::schema::{FLOW, Field};

use crate::observe::json::{self, drop_reason_desc};
use crate::observe::text::tests::record;
use crate::observe::{self, Identity, Record, Told, rfc3339};

/// Fields that are lists, also where there is one element.
const LISTS: [&str; 7] = [
    "labels",
    "node_labels",
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
    "policy_log",
];

/// Fields of a `Policy`, which a mask cannot name, and so the table of names does not.
const POLICY: &[Field] = &[
    Field {
        name: "name",
        number: 1,
        inside: &[],
    },
    Field {
        name: "kind",
        number: 5,
        inside: &[],
    },
];

/// A message as protojson has it.
fn message(mut bytes: &[u8], of: &[Field]) -> Value {
    let mut object = Map::new();
    while !bytes.is_empty() {
        let (key, value, rest) = field(bytes).unwrap();
        bytes = rest;
        let named = of
            .iter()
            .find(|field| u64::from(field.number) == key >> 3)
            .unwrap();
        let inside = match named.name {
            name if name.ends_with("_by") => POLICY,
            _ => named.inside,
        };
        let value = match key & 7 {
            0 => number(named.name, varint(value).unwrap().0),
            _ if inside.is_empty() => json!(str::from_utf8(value).unwrap()),
            _ => special(named.name, message(value, inside)),
        };
        if LISTS.contains(&named.name) {
            let list = object.entry(named.name).or_insert_with(|| json!([]));
            list.as_array_mut().unwrap().push(value);
        } else {
            assert_eq!(object.insert(named.name.into(), value), None);
        }
    }
    Value::Object(object)
}

/// An enum by its name in `flow.proto`, a flag as such.
fn number(name: &str, number: u64) -> Value {
    let of = |names: &[&str]| json!(names[usize::try_from(number).unwrap()]);
    match name {
        "verdict" => of(&["", "FORWARDED", "DROPPED", "ERROR", "AUDIT"]),
        "traffic_direction" => of(&["", "INGRESS", "EGRESS"]),
        "Type" => of(&["", "L3_L4"]),
        "ipVersion" => of(&["", "IPv4", "IPv6"]),
        "drop_reason_desc" => {
            let mut reasons = DROP_REASONS.iter().map(|row| row.0);
            let reason = reasons.find(|reason| u64::from(reason.number()) == number);
            json!(drop_reason_desc(reason.unwrap()))
        }
        "FIN" | "SYN" | "RST" | "PSH" | "ACK" | "URG" | "ECE" | "CWR" => json!(number == 1),
        _ => json!(number),
    }
}

/// Messages that protojson writes in a way of their own.
fn special(name: &str, value: Value) -> Value {
    let part = |name: &str| value[name].as_u64().unwrap_or_default();
    match name {
        "time" => json!(rfc3339(part("seconds") * 1_000_000_000 + part("nanos"))),
        "is_reply" => json!(part("value") == 1),
        _ => value,
    }
}

/// One of each kind that is told.
fn records() -> Vec<(&'static str, Record)> {
    let denied = Record {
        number: 7,
        told: Told::Deny,
        ..record()
    };
    let mut allowed = Record {
        told: Told::Allow,
        reason: None,
        ..record()
    };
    let rule = Arc::make_mut(allowed.rule.as_mut().unwrap());
    rule.match_type = "L3-L4".into();
    rule.log = "ticket 4711".into();
    let egress = Record {
        ingress: false,
        ..allowed.clone()
    };
    let mut pod = egress.clone();
    pod.destination.pod = "web-0".into();
    pod.destination.identity = Arc::new(Identity {
        number: 4_711,
        labels: vec![
            "k8s:io.cilium.k8s.policy.cluster=default".into(),
            "k8s:io.kubernetes.pod.namespace=shop".into(),
        ],
    });
    let of = |protocol, icmp_type| Record {
        protocol,
        icmp_type,
        ..denied.clone()
    };
    let mut six = of(58, 128);
    six.family = 6;
    six.source.address = "2001:db8::1".parse().unwrap();
    let nameless = Record {
        rule: None,
        reason: Some(1),
        interface: "".into(),
        tcp_flags: 0xff,
        ..denied.clone()
    };
    vec![
        ("audited", record()),
        ("allowed", allowed),
        ("egress", egress),
        ("pod", pod),
        ("UDP", of(17, 0)),
        ("SCTP", of(132, 0)),
        ("ICMP", of(1, 8)),
        ("ICMPv6", six),
        ("VRRP", of(112, 0)),
        (
            "no IP",
            Record {
                family: 0,
                ..denied.clone()
            },
        ),
        ("without a rule", nameless),
        ("denied", denied),
    ]
}

#[test]
fn the_api_says_what_json_says() {
    for (name, record) in records() {
        let flow = observe::Flow {
            message: observe::Message::PolicyVerdict,
            record: Arc::new(record),
        };
        for kind in [observe::Message::PolicyVerdict, observe::Message::Drop] {
            let flow = observe::Flow {
                message: kind,
                ..flow.clone()
            };
            let said = &json::flow(&flow.record, kind)["flow"];
            let mut told = message(&whole(&flow).encode_to_vec(), FLOW);
            if flow.record.number == 0 {
                told.as_object_mut().unwrap().remove("uuid");
            }
            assert_eq!(told, *said, "{name}");
        }
    }
}
