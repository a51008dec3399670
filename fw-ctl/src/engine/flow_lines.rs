//! The JSON lines that flows are written in.

use std::net::IpAddr;

use fw_common::wire::Direction;
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use super::Flow;
use super::protocol::{check_protocol, protocol_number, unknown_protocol};
use crate::inventory::Identities;
use crate::policy::rules::{ICMP, ICMPV6, PORT_PROTOCOLS};
use crate::vlans;

/// Source port of a flow that names none: one that clients use.
const EPHEMERAL: u16 = 40_000;

/// A line that is no flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FlowError {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Reads JSON lines; empty lines and a byte order mark are skipped.
///
/// # Errors
/// The first line that is no flow, or whose direction cannot be told.
pub fn read_flows(text: &str, identities: &Identities) -> Result<Vec<Flow>, FlowError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut flows = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let flow = Written::read(line).and_then(|written| written.flow(number, identities));
        flows.push(flow.map_err(|message| FlowError {
            line: number,
            message,
        })?);
    }
    Ok(flows)
}

/// The fields of a line, whatever their values: what is wrong with a value is said
/// here, by the name of its field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Option<Value>,
    src: Value,
    dst: Value,
    proto: Value,
    sport: Option<Value>,
    dport: Option<Value>,
    icmp_type: Option<Value>,
    icmp_code: Option<Value>,
    vlan: Option<Value>,
    direction: Option<Value>,
    expect: Option<Value>,
}

impl Written {
    fn read(line: &str) -> Result<Self, String> {
        if !line.trim_start().starts_with('{') {
            return Err(
                "this is no JSON object; try: {\"src\": \"192.0.2.7\", \"dst\": \"10.0.0.1\", \
                 \"proto\": \"TCP\", \"dport\": 22}"
                    .to_owned(),
            );
        }
        serde_json::from_str(line).map_err(|error| {
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or(&text);
            match error.classify() {
                Category::Data => text.to_owned(),
                Category::Syntax | Category::Eof | Category::Io => {
                    format!("not valid JSON in column {}: {text}", error.column())
                }
            }
        })
    }

    fn flow(self, line: usize, identities: &Identities) -> Result<Flow, String> {
        let protocol = protocol(&self.proto)?;
        self.check_fields(protocol)?;
        let source = address("src", &self.src)?;
        let destination = address("dst", &self.dst)?;
        if source.is_ipv4() != destination.is_ipv4() {
            return Err("`src` and `dst` are of different families".to_owned());
        }
        check_protocol(protocol, destination)?;
        let ways = [
            ("ingress", Direction::Ingress),
            ("egress", Direction::Egress),
        ];
        let direction = match one_of("direction", self.direction.as_ref(), &ways)? {
            Some(direction) => direction,
            None if identities.of(destination).is_host() => Direction::Ingress,
            None if identities.of(source).is_host() => Direction::Egress,
            None => {
                return Err(format!(
                    "neither {source} nor {destination} is an address of the node; \
                     try: add \"direction\", or name the node's addresses in the inventory"
                ));
            }
        };
        let has_ports = PORT_PROTOCOLS.contains(&protocol);
        let source_port = number("sport", self.sport.as_ref(), u16::MAX)?;
        Ok(Flow {
            id: match self.id {
                Some(Value::String(id)) => id,
                Some(Value::Number(id)) => id.to_string(),
                Some(other) => {
                    return Err(format!("`id` is {other}, but must be a text or number"));
                }
                None => line.to_string(),
            },
            source,
            destination,
            protocol,
            source_port: source_port.unwrap_or(if has_ports { EPHEMERAL } else { 0 }),
            destination_port: number("dport", self.dport.as_ref(), u16::MAX)?.unwrap_or(0),
            icmp_type: number("icmp_type", self.icmp_type.as_ref(), u8::MAX)?.unwrap_or(0),
            icmp_code: number("icmp_code", self.icmp_code.as_ref(), u8::MAX)?.unwrap_or(0),
            vlan: number("vlan", self.vlan.as_ref(), vlans::LAST)?,
            direction,
            expect: one_of(
                "expect",
                self.expect.as_ref(),
                &[("allow", true), ("deny", false)],
            )?,
        })
    }

    /// Every field must mean something for the protocol.
    fn check_fields(&self, protocol: u8) -> Result<(), String> {
        let has_ports = PORT_PROTOCOLS.contains(&protocol);
        let is_icmp = [ICMP, ICMPV6].contains(&protocol);
        let icmp = self.icmp_type.is_some() || self.icmp_code.is_some();
        let ports = self.dport.is_some() || self.sport.is_some();
        match () {
            () if has_ports && self.dport.is_none() => Err("`dport` is missing".to_owned()),
            () if is_icmp && self.icmp_type.is_none() => {
                Err("`icmp_type` is missing; an echo request has 8, in ICMPv6 128".to_owned())
            }
            () if !has_ports && ports => Err("this protocol has no ports".to_owned()),
            () if !is_icmp && icmp => {
                Err("`icmp_type` and `icmp_code` are for ICMP and ICMPv6".to_owned())
            }
            () => Ok(()),
        }
    }
}

fn protocol(written: &Value) -> Result<u8, String> {
    match written {
        Value::String(name) => protocol_number(name),
        other => {
            let number = other.as_u64().and_then(|number| u8::try_from(number).ok());
            number.ok_or_else(|| unknown_protocol(other))
        }
    }
}

fn address(name: &str, written: &Value) -> Result<IpAddr, String> {
    let parsed = written.as_str().and_then(|text| text.parse().ok());
    parsed
        .map(|address: IpAddr| address.to_canonical())
        .ok_or_else(|| format!("`{name}` is {written}, which is no IP address"))
}

/// A whole number from 0 to `last`.
fn number<T>(name: &str, written: Option<&Value>, last: T) -> Result<Option<T>, String>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display,
{
    let Some(written) = written else {
        return Ok(None);
    };
    let number = written.as_u64().and_then(|number| T::try_from(number).ok());
    match number.filter(|number| *number <= last) {
        Some(number) => Ok(Some(number)),
        None => Err(format!(
            "`{name}` is {written}, but must be a whole number from 0 to {last}"
        )),
    }
}

/// What one of two words stands for.
fn one_of<T: Copy>(
    name: &str,
    written: Option<&Value>,
    words: &[(&str, T); 2],
) -> Result<Option<T>, String> {
    let Some(written) = written else {
        return Ok(None);
    };
    match words.iter().find(|(word, _)| written == word) {
        Some((_, meaning)) => Ok(Some(*meaning)),
        None => Err(format!(
            "`{name}` is {written}, but must be \"{}\" or \"{}\"",
            words[0].0, words[1].0
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::label::Label;
    use crate::policy::rules::Service;

    fn read(text: &str) -> Result<Vec<Flow>, FlowError> {
        let host = Arc::new([Label::reserved("host")].into_iter().collect());
        let node = "10.0.0.10/32".parse().unwrap();
        read_flows(text, &Identities::new([(node, host)]))
    }

    #[test]
    fn the_direction_follows_from_the_node_s_address() {
        let flows = read(
            "{\"id\":\"1\",\"src\":\"203.0.113.7\",\"dst\":\"10.0.0.10\",\"proto\":\"TCP\",\"sport\":1,\"dport\":22}\n\n\
             {\"src\":\"10.0.0.10\",\"dst\":\"203.0.113.7\",\"proto\":\"icmp\",\"icmp_type\":8,\"expect\":\"deny\"}\n\
             {\"id\":7,\"src\":\"10.0.0.10\",\"dst\":\"10.0.0.10\",\"proto\":89}",
        )
        .unwrap();
        let seen: Vec<_> = flows
            .iter()
            .map(|flow| (flow.id.as_str(), flow.direction, flow.service()))
            .collect();
        let ssh = Service::Port {
            protocol: 6,
            port: 22,
        };
        assert_eq!(
            seen,
            [
                ("1", Direction::Ingress, ssh),
                ("3", Direction::Egress, Service::Icmp(8)),
                ("7", Direction::Ingress, Service::Protocol(89)),
            ]
        );
        assert_eq!(flows[1].expect, Some(false));
        assert_eq!(flows[1].peer(), flows[1].destination);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (line, part) in [
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"TCP"}"#,
                "dport",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"2.2.2.2","proto":"TCP","dport":1}"#,
                "neither",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"TCPP","dport":1}"#,
                "unknown protocol `TCPP`",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"GRE","dport":1}"#,
                "no ports",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"ICMP"}"#,
                "icmp_type",
            ),
            (
                r#"{"src":"fd00::1","dst":"10.0.0.10","proto":"GRE"}"#,
                "families",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"GRE","port":1}"#,
                "unknown field",
            ),
            (
                r#"{"src":"fd00::2","dst":"fd00::1","proto":44,"direction":"ingress"}"#,
                "extension header",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"ICMPv6","icmp_type":128}"#,
                "in IPv4 it is ICMP",
            ),
            (
                r#"{"src":"fd00::2","dst":"fd00::1","proto":"ICMP","icmp_type":8}"#,
                "in IPv6 it is ICMPv6",
            ),
            ("[", "this is no JSON object"),
            ("{", "not valid JSON in column 1: EOF"),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"TCP","dport":70000}"#,
                "`dport` is 70000, but must be a whole number from 0 to 65535",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"TCP","dport":"22"}"#,
                "`dport` is \"22\", but must be a whole number",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"ICMP","icmp_type":-1}"#,
                "`icmp_type` is -1, but must be a whole number from 0 to 255",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"GRE","vlan":4095}"#,
                "from 0 to 4094",
            ),
            (
                r#"{"src":"1.1.1.1/32","dst":"10.0.0.10","proto":"GRE"}"#,
                "`src` is \"1.1.1.1/32\", which is no IP address",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":300}"#,
                "unknown protocol `300`",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"GRE","direction":"in"}"#,
                "must be \"ingress\" or \"egress\"",
            ),
            (
                r#"{"src":"1.1.1.1","dst":"10.0.0.10","proto":"GRE","expect":true}"#,
                "`expect` is true, but must be \"allow\" or \"deny\"",
            ),
            (
                r#"{"src":"1.1.1.1","src":"1.1.1.2","dst":"10.0.0.10","proto":"GRE"}"#,
                "duplicate field `src`",
            ),
        ] {
            let error = read(&format!("\n{line}")).unwrap_err();
            assert_eq!(error.line, 2);
            assert!(error.message.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let flows = read("\u{feff}{\"src\":\"1.1.1.1\",\"dst\":\"10.0.0.10\",\"proto\":89}\r\n");
        assert_eq!(flows.unwrap()[0].id, "1");
    }
}
