//! Whether one item of a policy means a flow.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::Flow;
use crate::policy::label::{Label, LabelSet};
use crate::policy::rules::CidrMatchMode;
use crate::policy::schema::{
    CidrGroup, CidrRule, CidrSelector, IcmpRule, Item, Port, PortProtocol, PortRule, Protocol,
};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The other end of a flow.
pub(super) struct Peer<'a> {
    pub(super) address: IpAddr,
    pub(super) labels: &'a LabelSet,
    pub(super) groups: &'a [Arc<CidrGroup>],
    pub(super) cluster: &'a str,
    pub(super) cidr_match_mode: CidrMatchMode,
}

/// What the peer fields of an item say about a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// No peer field is there.
    Absent,
    /// One is there, and means the peer.
    Match,
    /// One is there, and does not; or a list is there and empty.
    Nobody,
}

/// Peers and services of an item must both match. Neither written: nobody.
pub(super) fn matches(item: &Item, peer: &Peer<'_>, flow: &Flow) -> bool {
    let ports = item.to_ports.as_deref().unwrap_or(&[]);
    let icmps = item.icmps.as_deref().unwrap_or(&[]);
    let services_written = !ports.is_empty() || !icmps.is_empty();
    match peers(item, peer) {
        Answer::Nobody => false,
        Answer::Absent if !services_written => false,
        Answer::Absent | Answer::Match => {
            !services_written || any_port(ports, flow) || any_icmp(icmps, flow)
        }
    }
}

fn peers(item: &Item, peer: &Peer<'_>) -> Answer {
    let mut answers = vec![
        any(item.endpoints.as_ref(), |selector| {
            selector.scoped_to_pods(peer.cluster).matches(peer.labels)
        }),
        any(item.nodes.as_ref(), |selector| {
            selector.scoped_to_nodes(peer.cluster).matches(peer.labels)
        }),
        any(item.entities.as_ref(), |entity| {
            let selectors = entity.value.selectors(peer.cluster);
            selectors.iter().any(|one| one.matches(peer.labels))
        }),
        any(item.cidr.as_ref(), |cidr| {
            outside(peer) && cidr.value.contains(&peer.address)
        }),
        any(item.cidr_set.as_ref(), |rule| {
            outside(peer) && cidr_rule(rule, peer)
        }),
    ];
    // These are not enforced; a policy that uses them is not loaded.
    answers.push(any(item.groups.as_ref(), |_| false));
    answers.push(any(item.services.as_ref(), |_| false));
    answers.push(any(item.fqdns.as_ref(), |_| false));
    let empty_lists = [
        item.endpoints.as_ref().is_some_and(Vec::is_empty),
        item.nodes.as_ref().is_some_and(Vec::is_empty),
        item.entities.as_ref().is_some_and(Vec::is_empty),
        item.cidr.as_ref().is_some_and(Vec::is_empty),
        item.cidr_set.as_ref().is_some_and(Vec::is_empty),
        item.groups.as_ref().is_some_and(Vec::is_empty),
        item.services.as_ref().is_some_and(Vec::is_empty),
        item.fqdns.as_ref().is_some_and(Vec::is_empty),
    ];
    if empty_lists.contains(&true) {
        return Answer::Nobody;
    }
    if answers.contains(&Answer::Match) {
        return Answer::Match;
    }
    if answers.contains(&Answer::Nobody) {
        return Answer::Nobody;
    }
    Answer::Absent
}

fn any<T>(list: Option<&Vec<T>>, means: impl Fn(&T) -> bool) -> Answer {
    match list {
        None => Answer::Absent,
        Some(list) if list.iter().any(means) => Answer::Match,
        Some(_) => Answer::Nobody,
    }
}

/// CIDR rules match what is outside the cluster; on demand remote nodes, too.
fn outside(peer: &Peer<'_>) -> bool {
    let nodes = peer.cidr_match_mode == CidrMatchMode::Nodes;
    peer.labels.is_world() || (nodes && peer.labels.is_remote_node())
}

fn cidr_rule(rule: &CidrRule, peer: &Peer<'_>) -> bool {
    let inside = |prefix: &IpNet| prefix.contains(&peer.address);
    if rule.except.iter().any(|except| inside(&except.value)) {
        return false;
    }
    match &rule.selector {
        CidrSelector::Cidr(cidr) => inside(&cidr.value),
        CidrSelector::Group(name) => peer
            .groups
            .iter()
            .filter(|group| group.name == name.value)
            .any(|group| group.live().any(|(prefix, _)| inside(&prefix))),
        CidrSelector::GroupSelector(selector) => peer.groups.iter().any(|group| {
            // Decoding gives this source to the keys of the selector.
            let labels = group.labels.iter();
            let labels: LabelSet = labels
                .map(|(key, value)| Label::new("cidrgroup", key, value))
                .collect();
            selector.matches(&labels) && group.live().any(|(prefix, _)| inside(&prefix))
        }),
    }
}

fn any_port(rules: &[PortRule], flow: &Flow) -> bool {
    rules
        .iter()
        .flat_map(|rule| &rule.ports)
        .any(|entry| port(entry, flow))
}

fn port(entry: &PortProtocol, flow: &Flow) -> bool {
    let has_ports = [TCP, UDP, SCTP].contains(&flow.protocol);
    let protocol = match entry.protocol {
        Protocol::Any => has_ports,
        Protocol::Number(number) => number == flow.protocol,
    };
    let port = match &entry.port {
        Port::All => true,
        Port::Range(first, last) => {
            !has_ports || (*first <= flow.destination_port && flow.destination_port <= *last)
        }
        Port::Named(_) => false,
    };
    protocol && port
}

fn any_icmp(rules: &[IcmpRule], flow: &Flow) -> bool {
    rules.iter().flat_map(|rule| &rule.fields).any(|field| {
        let protocol = if field.v6 { ICMPV6 } else { ICMP };
        flow.protocol == protocol && flow.icmp_type == field.icmp_type
    })
}
