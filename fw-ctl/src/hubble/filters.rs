//! Hubble's filters as ours.
//!
//! A condition on what no packet of a host firewall has (names of services, DNS, HTTP, …)
//! never holds, as in Hubble where a flow has no such part. A value that is none is an error.

use std::net::IpAddr;

use ipnet::IpNet;
use tonic::Status;

use super::proto::flow::{self, FlowFilter, IpVersion, TrafficDirection, Verdict};
use crate::observe::filter::{Filter, Filters, Interface, Kind, Labels, Pod, Side, protocols};
use crate::observe::{Message, Told};

/// What a client asks for.
///
/// # Errors
/// A value that is none of its kind.
pub fn filters(allow: &[FlowFilter], deny: &[FlowFilter]) -> Result<Filters, Status> {
    let all = |filters: &[FlowFilter]| filters.iter().map(filter).collect::<Result<Vec<_>, _>>();
    Ok(Filters {
        allow: all(allow)?,
        deny: all(deny)?,
    })
}

fn wrong(field: &str, value: &str) -> Status {
    Status::invalid_argument(format!("{field}: `{value}` is not understood"))
}

/// Each value as `read` reads it.
fn each<T>(
    field: &str,
    values: &[String],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Status> {
    let values = values.iter();
    values
        .map(|value| read(value).ok_or_else(|| wrong(field, value)))
        .collect()
}

fn filter(asked: &FlowFilter) -> Result<Filter, Status> {
    if let Some(experimental) = &asked.experimental
        && !experimental.cel_expression.is_empty()
    {
        return Err(Status::unimplemented("fw-ctl evaluates no CEL expressions"));
    }
    let mut filter = Filter {
        source: side(
            asked.source_ip.as_slice(),
            &asked.source_port,
            &asked.source_identity,
            &asked.source_label,
        )?,
        destination: side(
            asked.destination_ip.as_slice(),
            &asked.destination_port,
            &asked.destination_identity,
            &asked.destination_label,
        )?,
        ..Filter::default()
    };
    let mut never = absent(asked);
    filter.source.pod = each("source_pod", &asked.source_pod, Pod::parse)?;
    filter.destination.pod = each("destination_pod", &asked.destination_pod, Pod::parse)?;
    filter.node_label = each("node_labels", &asked.node_labels, |text| {
        Labels::parse(text).ok()
    })?;
    filter.source.cluster.clone_from(&asked.source_cluster_name);
    filter
        .destination
        .cluster
        .clone_from(&asked.destination_cluster_name);
    filter.uuid.clone_from(&asked.uuid);
    filter.node.clone_from(&asked.node_name);
    filter.reply.clone_from(&asked.reply);
    filter.verdict = known(&asked.verdict, |number| told(*number), &mut never);
    filter.message = known(&asked.event_type, kind, &mut never);
    filter.reason = known(
        &asked.drop_reason_desc,
        |number| u8::try_from(*number).ok(),
        &mut never,
    );
    filter.ingress = known(
        &asked.traffic_direction,
        |number| direction(*number),
        &mut never,
    );
    filter.family = known(&asked.ip_version, |number| family(*number), &mut never);
    filter.tcp_flags = known(&asked.tcp_flags, flags, &mut never);
    filter.interface = asked.interface.iter().map(interface).collect();
    for name in &asked.protocol {
        match protocols(name) {
            Some(numbers) => filter.protocol.extend(numbers),
            None => return Err(wrong("protocol", name)),
        }
    }
    // Known to the API, and of layer 7: no packet is one.
    never |= !asked.protocol.is_empty() && filter.protocol.is_empty();
    filter.never = never;
    Ok(filter)
}

fn side(
    addresses: &[String],
    ports: &[String],
    identities: &[u32],
    labels: &[String],
) -> Result<Side, Status> {
    Ok(Side {
        address: each("ip", addresses, |text| {
            let net = text.parse().ok();
            net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        })?,
        port: each("port", ports, |text| text.parse().ok())?,
        identity: identities.to_vec(),
        label: each("label", labels, |text| Labels::parse(text).ok())?,
        ..Side::default()
    })
}

/// Those of the values that there are here; `never`: there are values, and none is.
fn known<A, T>(asked: &[A], read: impl Fn(&A) -> Option<T>, never: &mut bool) -> Vec<T> {
    let known: Vec<T> = asked.iter().filter_map(read).collect();
    *never |= !asked.is_empty() && known.is_empty();
    known
}

/// Whether something is asked of what no flow here has.
fn absent(asked: &FlowFilter) -> bool {
    let texts = [
        &asked.source_ip_xlated,
        &asked.source_fqdn,
        &asked.source_service,
        &asked.destination_fqdn,
        &asked.destination_service,
        &asked.http_status_code,
        &asked.dns_query,
        &asked.http_method,
        &asked.http_path,
        &asked.http_url,
        &asked.trace_id,
    ];
    texts.iter().any(|texts| !texts.is_empty())
        || !asked.source_workload.is_empty()
        || !asked.destination_workload.is_empty()
        || !asked.http_header.is_empty()
        || !asked.ip_trace_id.is_empty()
        || !asked.encrypted.is_empty()
}

fn told(verdict: i32) -> Option<Told> {
    match Verdict::try_from(verdict).ok()? {
        Verdict::Forwarded => Some(Told::Allow),
        Verdict::Dropped => Some(Told::Deny),
        Verdict::Audit => Some(Told::Audit),
        _ => None,
    }
}

fn kind(asked: &flow::EventTypeFilter) -> Option<Kind> {
    let kinds = [Message::PolicyVerdict, Message::Drop].into_iter();
    let mut kinds = kinds.filter(|message| i32::from(message.number()) == asked.r#type);
    let message = kinds.next()?;
    let reason = match (message, asked.match_sub_type) {
        (_, false) => None,
        (Message::Drop, true) => Some(u8::try_from(asked.sub_type).ok()?),
        // A verdict has the sub-type 0.
        (Message::PolicyVerdict, true) if asked.sub_type == 0 => None,
        (Message::PolicyVerdict, true) => return None,
    };
    Some(Kind { message, reason })
}

fn direction(direction: i32) -> Option<bool> {
    match TrafficDirection::try_from(direction).ok()? {
        TrafficDirection::Ingress => Some(true),
        TrafficDirection::Egress => Some(false),
        TrafficDirection::Unknown => None,
    }
}

fn family(version: i32) -> Option<u8> {
    match IpVersion::try_from(version).ok()? {
        IpVersion::Ipv4 => Some(4),
        IpVersion::Ipv6 => Some(6),
        IpVersion::IpNotUsed => Some(0),
    }
}

fn flags(asked: &flow::TcpFlags) -> Option<u8> {
    let bits = [
        asked.fin, asked.syn, asked.rst, asked.psh, asked.ack, asked.urg, asked.ece, asked.cwr,
    ];
    let flags = bits.iter().enumerate();
    let flags = flags.fold(0, |flags, (bit, set)| flags | u8::from(*set) << bit);
    // It is not read.
    (!asked.ns).then_some(flags)
}

fn interface(asked: &flow::NetworkInterface) -> Interface {
    Interface {
        name: (!asked.name.is_empty()).then(|| asked.name.clone()),
        index: (asked.index != 0).then_some(asked.index),
    }
}
