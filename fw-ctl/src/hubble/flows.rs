//! A flow in Hubble's words: the same as the JSON of `fw-ctl observe`, which is protojson of it.

use fw_common::wire::DropReason;
use prost_types::Timestamp;

use super::proto::flow::{
    CiliumEventType, Emitter, Endpoint, Flow, FlowType, Icmp, Ip, IpVersion, Layer4,
    NetworkInterface, Policy, Ports, Protocol, Tcp, TcpFlags, TrafficDirection, Verdict,
};
use crate::observe::json::{EMITTER, match_number, summary};
use crate::observe::{self, HOST, Message, Record, Told};
use crate::policy::label::CLUSTER;

/// Endpoint id of the node.
const HOST_ENDPOINT: u32 = observe::text::HOST_ENDPOINT as u32;

/// A moment of so many nanoseconds since 1970.
#[must_use]
pub fn timestamp(nanoseconds: u64) -> Timestamp {
    Timestamp {
        seconds: (nanoseconds / 1_000_000_000).cast_signed(),
        nanos: (nanoseconds % 1_000_000_000) as i32,
    }
}

/// Nanoseconds since 1970; what was before is 0.
#[must_use]
pub fn nanoseconds(timestamp: &Timestamp) -> u64 {
    let seconds = u64::try_from(timestamp.seconds).unwrap_or(0);
    let nanos = u64::try_from(timestamp.nanos).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// All that there is to say of a flow.
#[must_use]
pub fn whole(flow: &observe::Flow) -> Flow {
    let record = &*flow.record;
    let reason = record.drop_reason().map_or(0, DropReason::number);
    let dropped = if record.told == Told::Deny { reason } else { 0 };
    let mut whole = Flow {
        time: Some(timestamp(record.time)),
        uuid: flow.uuid(),
        verdict: verdict(record.told) as i32,
        drop_reason: u32::from(dropped),
        drop_reason_desc: i32::from(dropped),
        ip: ip(record),
        l4: layer4(record).map(|protocol| Layer4 {
            protocol: Some(protocol),
        }),
        source: Some(endpoint(&record.source)),
        destination: Some(endpoint(&record.destination)),
        r#type: FlowType::L3L4 as i32,
        node_name: record.node.to_string(),
        node_labels: record.node_labels.to_vec(),
        event_type: Some(CiliumEventType {
            r#type: i32::from(flow.message.number()),
            sub_type: match flow.message {
                Message::Drop => i32::from(reason),
                Message::PolicyVerdict => 0,
            },
        }),
        traffic_direction: match record.ingress {
            true => TrafficDirection::Ingress as i32,
            false => TrafficDirection::Egress as i32,
        },
        policy_match_type: match flow.message {
            Message::PolicyVerdict => u32::from(match_number(record.match_type())),
            Message::Drop => 0,
        },
        is_reply: record.is_reply(),
        interface: Some(NetworkInterface {
            index: record.ifindex,
            name: record.interface.to_string(),
        }),
        emitter: Some(Emitter {
            name: EMITTER.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }),
        summary: summary(record),
        policy_log: record.policy_log().map(str::to_owned).into_iter().collect(),
        ..Flow::default()
    };
    if let Some(name) = record.decided_by() {
        let policies = match (record.ingress, record.told) {
            (true, Told::Allow) => &mut whole.ingress_allowed_by,
            (true, _) => &mut whole.ingress_denied_by,
            (false, Told::Allow) => &mut whole.egress_allowed_by,
            (false, _) => &mut whole.egress_denied_by,
        };
        policies.push(Policy {
            name: name.to_owned(),
            kind: "CiliumClusterwideNetworkPolicy".to_owned(),
            ..Policy::default()
        });
    }
    whole
}

/// Hubble's verdict.
#[must_use]
pub fn verdict(told: Told) -> Verdict {
    match told {
        Told::Allow => Verdict::Forwarded,
        Told::Deny => Verdict::Dropped,
        Told::Audit => Verdict::Audit,
    }
}

fn ip(record: &Record) -> Option<Ip> {
    let version = match record.family {
        4 => IpVersion::Ipv4,
        6 => IpVersion::Ipv6,
        _ => return None,
    };
    Some(Ip {
        source: record.source.address.to_string(),
        destination: record.destination.address.to_string(),
        version: version as i32,
    })
}

fn layer4(record: &Record) -> Option<Protocol> {
    let (source_port, destination_port) = (
        u32::from(record.source.port),
        u32::from(record.destination.port),
    );
    let ports = Ports {
        source_port,
        destination_port,
    };
    let icmp = Icmp {
        r#type: u32::from(record.icmp_type),
        code: u32::from(record.icmp_code),
    };
    Some(match record.protocol {
        _ if record.family == 0 => return None,
        6 => Protocol::Tcp(Tcp {
            source_port,
            destination_port,
            flags: Some(flags(record.tcp_flags)),
        }),
        17 => Protocol::Udp(ports),
        132 => Protocol::Sctp(ports),
        1 => Protocol::Icmpv4(icmp),
        58 => Protocol::Icmpv6(icmp),
        _ => return None,
    })
}

fn flags(bits: u8) -> TcpFlags {
    let is_set = |bit: u8| bits & (1 << bit) != 0;
    TcpFlags {
        fin: is_set(0),
        syn: is_set(1),
        rst: is_set(2),
        psh: is_set(3),
        ack: is_set(4),
        urg: is_set(5),
        ece: is_set(6),
        cwr: is_set(7),
        ns: false,
    }
}

fn endpoint(side: &observe::Endpoint) -> Endpoint {
    let identity = &side.identity;
    Endpoint {
        id: if identity.number == HOST {
            HOST_ENDPOINT
        } else {
            0
        },
        identity: identity.number,
        cluster_name: side.label(CLUSTER).to_owned(),
        namespace: side.namespace().to_owned(),
        labels: identity.labels.clone(),
        pod_name: side.pod.to_string(),
    }
}
