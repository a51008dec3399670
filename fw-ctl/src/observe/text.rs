//! Lines as `cilium monitor` prints them (Cilium `pkg/monitor/datapath_policy.go`,
//! `datapath_drop.go`, `dissect.go`), to the letter: scripts and eyes are trained
//! on them.

use fw_common::wire::DropReason;

use super::identity::fnv;
use super::{Endpoint, Record, Told, icmp};

/// Endpoint id of the node. Cilium's differs from node to node; ours does not.
pub const HOST_ENDPOINT: u16 = 1;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Bits of the TCP header's flags with their names, in the order of Cilium's output.
const TCP_FLAGS: [(u8, &str); 4] = [(0x02, "SYN"), (0x10, "ACK"), (0x04, "RST"), (0x01, "FIN")];

/// `Policy verdict log: flow 0x0 local EP ID 1, remote ID world, …`
///
/// `numeric`: identities as numbers (`-n`).
#[must_use]
pub fn policy_verdict(record: &Record, numeric: bool) -> String {
    let action = match record.told {
        Told::Allow => "allow",
        Told::Deny => "deny",
        Told::Audit => "audit",
    };
    format!(
        "Policy verdict log: flow {:#x} local EP ID {HOST_ENDPOINT}, remote ID {}, proto {}, {}, action {action}, auth: disabled, match {}, {}",
        flow_hash(record),
        identity(record.remote(), numeric),
        record.protocol,
        direction(record),
        record.match_type(),
        summary(record),
    )
}

/// `xx drop (Policy denied) flow 0x0 to endpoint 0, ifindex 2, file fw-ctl:0, , identity world->host: …`
///
/// The file is ours, and the line is 0: there is one place that drops.
#[must_use]
pub fn drop_line(record: &Record, numeric: bool) -> String {
    let reason = record
        .drop_reason()
        .map_or_else(|| "Unknown".to_owned(), |reason| reason.text().to_owned());
    format!(
        "xx drop ({reason}) flow {:#x} to endpoint 0, ifindex {}, file fw-ctl:0, , identity {}->{}: {}",
        flow_hash(record),
        record.ifindex,
        identity(&record.source, numeric),
        identity(&record.destination, numeric),
        summary(record),
    )
}

/// The line below with `-v`: what decided, in our words.
#[must_use]
pub fn explanation(record: &Record) -> String {
    let interface = if record.interface.is_empty() {
        format!("ifindex {}", record.ifindex)
    } else {
        record.interface.to_string()
    };
    let vlan = match record.vlan {
        0 => String::new(),
        id => format!(", vlan {id}"),
    };
    let rule = match &record.rule {
        _ if !record.by_policy() => "no policy asked".to_owned(),
        None => "by a rule of a plan that is not known any more".to_owned(),
        Some(rule) => rule.phrase(),
    };
    let reason = record
        .drop_reason()
        .map_or_else(String::new, |reason| format!("{}, ", reason.name()));
    format!(
        "   {reason}{rule}, plan {}, {interface}{vlan}, {} bytes",
        record.plan, record.length
    )
}

/// `10.0.2.2:47500 -> 10.0.2.15:6443 tcp SYN`
#[must_use]
pub fn summary(record: &Record) -> String {
    if record.family == 0 {
        return "[unknown]".to_owned();
    }
    let (source, destination) = (&record.source, &record.destination);
    let with_ports =
        |protocol: &str| format!("{} -> {} {protocol}", socket(source), socket(destination));
    let plain = format!("{} -> {}", source.address, destination.address);
    if record.drop_reason() == Some(DropReason::ArpOff) {
        return format!("{plain} arp");
    }
    match record.protocol {
        TCP => {
            let flags = tcp_flags(record.tcp_flags);
            with_ports(format!("tcp {flags}").trim_end())
        }
        UDP => with_ports("udp"),
        132 => with_ports("sctp"),
        ICMP | ICMPV6 => format!(
            "{plain} icmp {}",
            icmp::name(
                record.protocol == ICMPV6,
                record.icmp_type,
                record.icmp_code
            )
        ),
        112 => format!("{plain} vrrp"),
        2 => format!("{plain} igmp"),
        _ => plain,
    }
}

/// Flags that are set, in Cilium's order.
#[must_use]
pub fn tcp_flags(flags: u8) -> String {
    let set: Vec<_> = TCP_FLAGS
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    set.join(", ")
}

/// `ingress` or `egress`.
#[must_use]
pub fn direction(record: &Record) -> &'static str {
    if record.ingress { "ingress" } else { "egress" }
}

fn identity(endpoint: &Endpoint, numeric: bool) -> String {
    if numeric {
        endpoint.identity.number.to_string()
    } else {
        endpoint.identity.name()
    }
}

fn socket(endpoint: &Endpoint) -> String {
    std::net::SocketAddr::new(endpoint.address, endpoint.port).to_string()
}

/// The same for every packet of a flow in one direction, so that lines can be matched.
fn flow_hash(record: &Record) -> u32 {
    let address = |endpoint: &Endpoint| fw_common::wire::Address::from(endpoint.address).bytes();
    fnv(address(&record.source)
        .into_iter()
        .chain(address(&record.destination))
        .chain(record.source.port.to_be_bytes())
        .chain(record.destination.port.to_be_bytes())
        .chain([record.protocol]))
}

#[cfg(test)]
#[path = "text_tests.rs"]
pub(crate) mod tests;
