//! The suggestion as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::choice::Chosen;
use super::draft::{Draft, Item};
use super::peers::Peer;
use super::way_name;
use crate::diff::Addresses;
use crate::harm::protocol;
use crate::observe::icmp_type_name;
use crate::policy::rules::Service;
use crate::policy::schema::{LabelSelector, Operator};
use crate::printable::printable;
use crate::vlans::{self, VlanRange, VlanSet};

/// Entries that one list of ports or of types takes (Cilium's limit).
const MOST: usize = 40;
/// Ports that follow each other become a range from so many on.
const RANGE: usize = 3;

/// All of it; `also`: who else is allowed, by draft, direction and number of the item.
pub(super) fn yaml(
    drafts: &[Draft],
    chosen: &Chosen,
    head: &[String],
    also: &[((usize, usize, usize), String)],
) -> String {
    let mut text = String::new();
    for line in head {
        let _ = writeln!(text, "# {}", printable(line));
    }
    for (place, draft) in drafts.iter().enumerate() {
        if place > 0 {
            text.push_str("---\n");
        }
        document(&mut text, draft);
        for (way, items) in draft.items.iter().enumerate() {
            if items.is_empty() {
                continue;
            }
            let _ = writeln!(text, "  {}:", way_name(way));
            for (number, item) in items.iter().enumerate() {
                for row in &item.rows {
                    let _ = writeln!(text, "  # {}", chosen.rows[*row]);
                }
                let here = also.iter().filter(|note| note.0 == (place, way, number));
                for (_, whom) in here {
                    let _ = writeln!(text, "  # also allows: {}", printable(whom));
                }
                write_item(&mut text, way, item);
            }
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn document(text: &mut String, draft: &Draft) {
    text.push_str("apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata:\n");
    let _ = writeln!(text, "  name: {}", scalar(&draft.name));
    if let Some(vlan) = draft.vlan {
        let only = VlanRange {
            first: vlan,
            last: vlan,
        };
        let only: VlanSet = [only].into_iter().collect();
        let _ = writeln!(
            text,
            "  annotations:\n    {}: \"{only}\"",
            vlans::ANNOTATION
        );
    }
    text.push_str("spec:\n");
    let like = printable(&draft.like);
    let _ = writeln!(text, "  # the nodes that {like} selects, which denies it");
    node_selector(text, &draft.nodes);
    text.push_str("  # it only adds: it denies nothing by itself\n  enableDefaultDeny:\n");
    for (way, items) in draft.items.iter().enumerate() {
        if !items.is_empty() {
            let _ = writeln!(text, "    {}: false", way_name(way));
        }
    }
}

fn node_selector(text: &mut String, selector: &LabelSelector) {
    if selector.requirements.is_empty() {
        text.push_str("  nodeSelector: {}\n");
        return;
    }
    text.push_str("  nodeSelector:\n");
    let mut labels = BTreeMap::new();
    let mut others = Vec::new();
    for requirement in &selector.requirements {
        let key = requirement.key.to_string();
        match &requirement.operator {
            Operator::In(values) if values.len() == 1 && !labels.contains_key(&key) => {
                labels.insert(key, values[0].clone());
            }
            Operator::In(values) => others.push((key, "In", values.as_slice())),
            Operator::NotIn(values) => others.push((key, "NotIn", values.as_slice())),
            Operator::Exists => others.push((key, "Exists", &[][..])),
            Operator::DoesNotExist => others.push((key, "DoesNotExist", &[][..])),
        }
    }
    if !labels.is_empty() {
        text.push_str("    matchLabels:\n");
        match_labels(text, "      ", &labels);
    }
    if !others.is_empty() {
        text.push_str("    matchExpressions:\n");
    }
    for (key, operator, values) in others {
        let _ = write!(
            text,
            "    - key: {}\n      operator: {operator}\n",
            scalar(&key)
        );
        if !values.is_empty() {
            text.push_str("      values:\n");
        }
        for value in values {
            let _ = writeln!(text, "      - {}", scalar(value));
        }
    }
}

fn match_labels(text: &mut String, indent: &str, labels: &BTreeMap<String, String>) {
    for (key, value) in labels {
        let _ = writeln!(text, "{indent}{}: {}", scalar(key), scalar(value));
    }
}

fn write_item(text: &mut String, way: usize, item: &Item) {
    let verb = ["from", "to"][way];
    let mut first = "-";
    let mut field = |text: &mut String, name: &str| {
        let _ = writeln!(text, "  {first} {name}:");
        first = " ";
    };
    let labels_of = |peer: &Peer| match peer {
        Peer::Node(labels) | Peer::Endpoint(labels) => Some(labels.clone()),
        Peer::Entity(_) | Peer::Address(_) => None,
    };
    match item.peers.first() {
        Some(Peer::Entity(_)) => field(text, &format!("{verb}Entities")),
        Some(Peer::Node(_)) => field(text, &format!("{verb}Nodes")),
        Some(Peer::Endpoint(_)) => field(text, &format!("{verb}Endpoints")),
        Some(Peer::Address(_)) | None => field(text, &format!("{verb}CIDR")),
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for peer in &item.peers {
        match peer {
            Peer::Entity(name) => {
                let _ = writeln!(text, "    - {name}");
            }
            Peer::Address(address) => addresses.push(*address),
            Peer::Node(_) | Peer::Endpoint(_) => {
                text.push_str("    - matchLabels:\n");
                match_labels(text, "        ", &labels_of(peer).unwrap_or_default());
            }
        }
    }
    let whole = Addresses::of(addresses.into_iter().map(IpNet::from));
    for prefix in whole.prefixes() {
        let _ = writeln!(text, "    - {}", quoted(&prefix.to_string()));
    }
    let (icmps, ports) = parts(&item.services);
    if !ports.is_empty() {
        field(text, "toPorts");
    }
    for some in ports.chunks(MOST) {
        let _ = writeln!(text, "    - ports:");
        text.push_str(&some.concat());
    }
    if !icmps.is_empty() {
        field(text, "icmps");
    }
    for some in icmps.chunks(MOST) {
        let _ = writeln!(text, "    - fields:");
        text.push_str(&some.concat());
    }
}

/// Entries of `icmps`, and of `toPorts`.
fn parts(services: &BTreeSet<Service>) -> (Vec<String>, Vec<String>) {
    let (mut icmps, mut ports) = (Vec::new(), Vec::new());
    let mut numbers: BTreeMap<u8, Vec<u16>> = BTreeMap::new();
    for service in services {
        let mut icmp = |family: &str, v6, number| {
            let name = icmp_type_name(v6, number);
            icmps.push(format!(
                "      - family: {family}\n        type: {number} # {name}\n"
            ));
        };
        match *service {
            Service::Icmp(number) => icmp("IPv4", false, number),
            Service::Icmpv6(number) => icmp("IPv6", true, number),
            Service::Port { protocol, port } => numbers.entry(protocol).or_default().push(port),
            Service::Protocol(number) => {
                ports.push(format!("      - protocol: {}\n", protocol(number)));
            }
        }
    }
    for (number, of_protocol) in numbers {
        let protocol = protocol(number);
        for run in of_protocol.chunk_by(|one, next| one + 1 == *next) {
            let (first, last) = (run[0], run[run.len() - 1]);
            if run.len() >= RANGE {
                ports.push(format!(
                    "      - port: \"{first}\"\n        endPort: {last}\n        protocol: {protocol}\n"
                ));
            } else {
                ports.extend(run.iter().map(|port| {
                    format!("      - port: \"{port}\"\n        protocol: {protocol}\n")
                }));
            }
        }
    }
    (icmps, ports)
}

/// Plain where nobody can take it for anything but a text.
fn scalar(text: &str) -> String {
    let mut letters = text.chars();
    let plain = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if plain && !words.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A JSON text is a YAML text.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
