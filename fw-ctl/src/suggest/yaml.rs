//! The suggestion as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::draft::{Draft, Item};
use super::peers::Peer;
use super::proof::Notes;
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
/// Rows that the head names as not allowed; more are counted.
const LEFT: usize = 20;
/// Ports that follow each other become a range from so many on.
const RANGE: usize = 3;

/// What stands around the policies.
pub(super) struct Frame<'a> {
    /// What each row is.
    pub(super) rows: &'a [String],
    /// The first line of comment; empty: no comments at the head.
    pub(super) head: &'a str,
    /// What is not allowed.
    pub(super) left: &'a [String],
}

/// All of it.
pub(super) fn yaml(drafts: &[Draft], frame: &Frame<'_>, notes: &Notes) -> String {
    let mut text = String::new();
    head(&mut text, frame, notes);
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
                    let _ = writeln!(text, "  # {}", frame.rows[*row]);
                }
                let here = (place, way, number);
                if let Some(whom) = notes.own.get(&here) {
                    let _ = writeln!(text, "  # the same by other addresses: {}", printable(whom));
                }
                if let Some(whom) = notes.others.get(&here) {
                    let _ = writeln!(text, "  # also allows: {}", printable(whom));
                }
                write_item(&mut text, way, item);
            }
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// What it is, what was proved of it, and what it does not do.
fn head(text: &mut String, frame: &Frame<'_>, notes: &Notes) {
    if frame.head.is_empty() {
        return;
    }
    let _ = writeln!(text, "# {}", printable(frame.head));
    text.push_str("# Proved: with it, what its comments name is allowed in addition, ");
    text.push_str(match (notes.others.is_empty(), notes.own.is_empty()) {
        (true, true) => "and nothing else.\n",
        (true, false) => "by all addresses of\n# these peers, and nothing else.\n",
        (false, _) => {
            "which is more\n# than was chosen: an entity also means whom `also allows` names.\n"
        }
    });
    for left in frame.left.iter().take(LEFT) {
        let _ = writeln!(text, "# not allowed by this: {}", printable(left));
    }
    if frame.left.len() > LEFT {
        let more = frame.left.len() - LEFT;
        let _ = writeln!(text, "# and {more} more are not allowed by this");
    }
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

fn node_selector(text: &mut String, nodes: &LabelSelector) {
    if nodes.requirements.is_empty() {
        text.push_str("  nodeSelector: {}\n");
        return;
    }
    text.push_str("  nodeSelector:\n");
    selector(text, "    ", "    ", nodes);
}

/// The fields of a selector; `first`: what stands before the first, `indent`: before others.
fn selector(text: &mut String, first: &str, indent: &str, selector: &LabelSelector) {
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
    let mut lead = first;
    if !labels.is_empty() {
        let _ = writeln!(text, "{lead}matchLabels:");
        lead = indent;
    }
    for (key, value) in labels {
        let _ = writeln!(text, "{indent}  {}: {}", scalar(&key), scalar(&value));
    }
    if !others.is_empty() {
        let _ = writeln!(text, "{lead}matchExpressions:");
    }
    for (key, operator, values) in others {
        let key = scalar(&key);
        let _ = writeln!(text, "{indent}- key: {key}\n{indent}  operator: {operator}");
        if !values.is_empty() {
            let _ = writeln!(text, "{indent}  values:");
        }
        for value in values {
            let _ = writeln!(text, "{indent}  - {}", scalar(value));
        }
    }
}

fn write_item(text: &mut String, way: usize, item: &Item) {
    let verb = ["from", "to"][way];
    let mut first = "-";
    let mut field = |text: &mut String, name: &str| {
        let _ = writeln!(text, "  {first} {name}:");
        first = " ";
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
            Peer::Node(labels) | Peer::Endpoint(labels) => {
                selector(text, "    - ", "      ", &labels.written());
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
            // A type without a name is called by its number.
            let name = Some(name).filter(|name| *name != number.to_string());
            let name = name.map_or_else(String::new, |name| format!(" # {name}"));
            icmps.push(format!(
                "      - family: {family}\n        type: {number}{name}\n"
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

/// A text as YAML: plain where nobody can take it for anything but a text.
pub(crate) fn scalar(text: &str) -> String {
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
