//! `toPorts`: ports and protocols.
//! Source: Cilium `pkg/policy/api/{l4,rule_validation}.go`, the CRD's patterns.

use super::cursor::{Decoder, Field, Object};
use super::hints;
use super::l7;
use super::names::{PortNumberError, go_uint16, is_service_name};
use super::spec::List;
use crate::policy::schema::{Port, PortProtocol, PortRule, Protocol};
use crate::printable::quoted;

/// How many ports one entry of `toPorts` takes.
const MAX_PORTS: usize = 40;

/// The names of the protocols, whether they have ports, and what they are. The
/// CRD knows the first six only, Cilium's agent all of them.
const PROTOCOLS: [(&str, bool, Protocol); 11] = [
    ("TCP", true, Protocol::Number(6)),
    ("UDP", true, Protocol::Number(17)),
    ("SCTP", true, Protocol::Number(132)),
    ("VRRP", false, Protocol::Number(112)),
    ("IGMP", false, Protocol::Number(2)),
    ("ANY", true, Protocol::Any),
    ("GRE", false, Protocol::Number(47)),
    ("IPIP", false, Protocol::Number(4)),
    ("IPV6", false, Protocol::Number(41)),
    ("ESP", false, Protocol::Number(50)),
    ("AH", false, Protocol::Number(51)),
];

/// Reads `toPorts` of an item of `list`; `host`: of a policy for nodes.
pub(super) fn to_ports(
    cx: &mut Decoder,
    at: &Field<'_>,
    list: List,
    host: bool,
) -> Option<Vec<PortRule>> {
    let items = cx.list(at)?;
    Some(
        items
            .iter()
            .filter_map(|item| rule(cx, item, list, host))
            .collect(),
    )
}

fn rule(cx: &mut Decoder, at: &Field<'_>, list: List, host: bool) -> Option<PortRule> {
    let known: &[&str] = if list.is_deny() {
        &["ports"]
    } else {
        &[
            "ports",
            "terminatingTLS",
            "originatingTLS",
            "serverNames",
            "listener",
            "rules",
        ]
    };
    let object = cx.object(at, known)?;
    let mut ports = Vec::new();
    if let Some(ports_at) = object.get("ports") {
        let items = cx.list(&ports_at)?;
        if items.len() > MAX_PORTS {
            cx.error_at_key(
                &object,
                "ports",
                format!(
                    "{} ports, more than the {MAX_PORTS} that one entry takes",
                    items.len()
                ),
            )
            .help("go on in a second entry of `toPorts`, or use `endPort` for a range");
        }
        ports = items
            .iter()
            .filter_map(|item| port_protocol(cx, item, host))
            .collect();
    }
    let mut rule = PortRule {
        span: at.span(),
        ports,
        l7: Vec::new(),
        proxy: Vec::new(),
    };
    if !list.is_deny() {
        l7::decode(cx, &object, list, host, &mut rule);
    }
    Some(rule)
}

fn port_protocol(cx: &mut Decoder, at: &Field<'_>, host: bool) -> Option<PortProtocol> {
    let object = cx.object(at, &["port", "endPort", "protocol"])?;
    let protocol = match object.get("protocol") {
        Some(at) => protocol(cx, &at),
        None => Some(("ANY", true, Protocol::Any)),
    };
    let end = object.get("endPort").and_then(|at| cx.int(&at, 0..=65535));
    let port = match object.get("port") {
        Some(port_at) => port(cx, &object, &port_at, end, protocol, host),
        None => {
            if let Some((name, true, _)) = protocol {
                let ports = if name == "ANY" {
                    "TCP, UDP and SCTP"
                } else {
                    name
                };
                cx.warn(at, format!("no `port`: this means every port of {ports}"))
                    .help("if you mean it, say so with `port: \"0\"`");
            }
            Some(Port::All)
        }
    };
    Some(PortProtocol {
        span: at.span(),
        port: port?,
        protocol: protocol?.2,
    })
}

fn protocol(cx: &mut Decoder, at: &Field<'_>) -> Option<(&'static str, bool, Protocol)> {
    let text = cx.text(at)?;
    if let Some(known) = PROTOCOLS.iter().find(|(name, _, _)| *name == text) {
        return Some(*known);
    }
    let names = PROTOCOLS.map(|(name, _, _)| name);
    let upper = text.to_uppercase();
    let found = cx.error(at, format!("{} is not a protocol", quoted(text)));
    if matches!(upper.as_str(), "ICMP" | "ICMPV6" | "ICMP6") {
        found.help("ICMP has types, not ports: use `icmps: [{fields: [{type: EchoRequest}]}]` instead of `toPorts`");
        return None;
    }
    if names.contains(&upper.as_str()) {
        found.label(format!("write {upper}"));
    } else if let Some(near) = hints::nearest(text, names.into_iter()) {
        found.label(format!("did you mean {near}?"));
    }
    let number = text.parse().ok().and_then(|number: u8| {
        PROTOCOLS
            .iter()
            .find(|(_, _, protocol)| *protocol == Protocol::Number(number))
    });
    found.help(match number {
        Some((name, _, _)) => format!("protocols are named, {text} is {name}"),
        None => format!("one of {}", hints::enumerate(&names)),
    });
    None
}

fn port(
    cx: &mut Decoder,
    object: &Object<'_>,
    at: &Field<'_>,
    end: Option<i64>,
    protocol: Option<(&str, bool, Protocol)>,
    host: bool,
) -> Option<Port> {
    let text = cx.text(at)?;
    if text.is_empty() {
        cx.error(at, "the port is empty")
            .help("for every port, write \"0\" or leave `port` out");
        return None;
    }
    if is_service_name(text) {
        return Some(named(cx, object, at, text, end, host));
    }
    if let Some((name, false, _)) = protocol
        && text != "0"
    {
        cx.error(at, format!("{name} has no ports"))
            .help("leave `port` out, or write \"0\"");
        return None;
    }
    let first = match go_uint16(text) {
        Ok(number) => number,
        Err(why) => {
            no_port(cx, at, text, why);
            return None;
        }
    };
    if text.len() > 1 && (text.starts_with('0') || text.contains('_')) {
        cx.warn(
            at,
            format!("{} is port {first}: a leading 0 means octal", quoted(text)),
        )
        .help(format!("write \"{first}\""));
    }
    let last = end.and_then(|end| u16::try_from(end).ok());
    if first == 0 {
        if last.is_some_and(|last| last > 0) {
            cx.warn_at_key(
                object,
                "endPort",
                "port \"0\" means every port: `endPort` does not count",
            )
            .help("for a range that begins at the first port, write `port: \"1\"`");
        }
        return Some(Port::All);
    }
    if let Some(last) = last
        && last < first
    {
        cx.warn_at_key(
            object,
            "endPort",
            format!("{last} is below the port: only port {first} is meant"),
        )
        .help("`endPort` is the last port of the range");
    }
    Some(Port::Range(first, last.unwrap_or(first).max(first)))
}

fn named(
    cx: &mut Decoder,
    object: &Object<'_>,
    at: &Field<'_>,
    text: &str,
    end: Option<i64>,
    host: bool,
) -> Port {
    if host {
        let number = text
            .strip_prefix("0x")
            .and_then(|hex| u16::from_str_radix(hex, 16).ok());
        let found = cx.warn(
            at,
            format!(
                "{} is the name of a port, and matches nothing in a host policy",
                quoted(text)
            ),
        );
        found.label("named ports are those of pods");
        match number.or_else(|| well_known(text)) {
            Some(number) => found.help(format!("write \"{number}\"")),
            None => found.help("write the number of the port"),
        };
    }
    if end.is_some() {
        cx.warn_at_key(
            object,
            "endPort",
            "a named port has no range: `endPort` does not count",
        )
        .help("write the number of the first port");
    }
    Port::Named(text.to_lowercase())
}

/// Ports of the names that are written most often (IANA registry), for the help.
fn well_known(name: &str) -> Option<u16> {
    Some(match name.to_lowercase().as_str() {
        "ssh" => 22,
        "dns" | "domain" => 53,
        "http" => 80,
        "ntp" => 123,
        "bgp" => 179,
        "https" => 443,
        _ => return None,
    })
}

fn no_port(cx: &mut Decoder, at: &Field<'_>, text: &str, why: PortNumberError) {
    let found = cx.error(at, format!("{} is not a port", quoted(text)));
    let trimmed = text.trim_start_matches('0');
    let range = text
        .split_once(['-', ':'])
        .map(|(first, last)| (first.trim(), last.trim()))
        .filter(|(first, last)| first.parse::<u16>().is_ok() && last.parse::<u16>().is_ok());
    match (why, range) {
        (PortNumberError::Range, _) => found.help("ports are at most 65535"),
        (_, Some((first, last))) => found.help(format!(
            "for a range, write `port: \"{first}\"` and `endPort: {last}`"
        )),
        _ if text.contains(',') => found.help("each port is an entry of its own in `ports`"),
        _ if trimmed != text && trimmed.parse::<u16>().is_ok() => {
            found.help(format!("a leading 0 means octal: write \"{trimmed}\""))
        }
        _ if text.len() > 15 => {
            found.help("a number up to 65535, or a name of at most 15 characters")
        }
        _ => found.help("a number up to 65535, or a name of letters, digits and single `-`"),
    };
}
