//! Flows to be judged, and the JSON lines that they are written in.

use std::net::IpAddr;

use fw_common::wire::Direction;
use serde::Deserialize;

use super::protocol::{check_protocol, protocol_number, unknown_protocol};
use crate::inventory::Identities;
use crate::policy::rules::{ICMP, ICMPV6, PORT_PROTOCOLS, Service};

/// Source port of a flow that names none: one that clients use.
const EPHEMERAL: u16 = 40_000;

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// As written; the number of the line where none is.
    pub id: String,
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port; 0 for protocols without ports.
    pub source_port: u16,
    /// Destination port; 0 for protocols without ports.
    pub destination_port: u16,
    /// ICMP type; 0 for other protocols.
    pub icmp_type: u8,
    /// ICMP code; 0 for other protocols.
    pub icmp_code: u8,
    /// VLAN id of an 802.1Q tag.
    pub vlan: Option<u16>,
    /// Which way it goes, seen from the node.
    pub direction: Direction,
    /// Whether it is expected to pass.
    pub expect: Option<bool>,
}

impl Flow {
    /// The address that is not the node's.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        match self.direction {
            Direction::Ingress => self.source,
            Direction::Egress => self.destination,
        }
    }

    /// What it asks for.
    #[must_use]
    pub fn service(&self) -> Service {
        match self.protocol {
            ICMP => Service::Icmp(self.icmp_type),
            ICMPV6 => Service::Icmpv6(self.icmp_type),
            protocol if PORT_PROTOCOLS.contains(&protocol) => Service::Port {
                protocol,
                port: self.destination_port,
            },
            protocol => Service::Protocol(protocol),
        }
    }
}

/// A line that is no flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FlowError {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Reads JSON lines; empty lines are skipped.
///
/// # Errors
/// The first line that is no flow, or whose direction cannot be told.
pub fn read_flows(text: &str, identities: &Identities) -> Result<Vec<Flow>, FlowError> {
    let mut flows = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let flow = serde_json::from_str::<Written>(line)
            .map_err(|error| {
                let text = error.to_string();
                text.split(" at line ").next().unwrap_or(&text).to_owned()
            })
            .and_then(|written| written.flow(number, identities));
        flows.push(flow.map_err(|message| FlowError {
            line: number,
            message,
        })?);
    }
    Ok(flows)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Option<TextOrNumber>,
    src: IpAddr,
    dst: IpAddr,
    proto: TextOrNumber,
    sport: Option<u16>,
    dport: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    vlan: Option<u16>,
    direction: Option<WrittenDirection>,
    expect: Option<WrittenVerdict>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenDirection {
    Ingress,
    Egress,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum WrittenVerdict {
    Allow,
    Deny,
}

impl Written {
    fn flow(self, line: usize, identities: &Identities) -> Result<Flow, String> {
        let protocol = self.protocol()?;
        self.check_fields(protocol)?;
        let source = self.src.to_canonical();
        let destination = self.dst.to_canonical();
        if source.is_ipv4() != destination.is_ipv4() {
            return Err("`src` and `dst` are of different families".to_owned());
        }
        check_protocol(protocol, destination)?;
        let direction = match self.direction {
            Some(WrittenDirection::Ingress) => Direction::Ingress,
            Some(WrittenDirection::Egress) => Direction::Egress,
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
        Ok(Flow {
            id: match self.id {
                Some(TextOrNumber::Text(id)) => id,
                Some(TextOrNumber::Number(id)) => id.to_string(),
                None => line.to_string(),
            },
            source,
            destination,
            protocol,
            source_port: self.sport.unwrap_or(if has_ports { EPHEMERAL } else { 0 }),
            destination_port: self.dport.unwrap_or(0),
            icmp_type: self.icmp_type.unwrap_or(0),
            icmp_code: self.icmp_code.unwrap_or(0),
            vlan: self.vlan,
            direction,
            expect: self.expect.map(|verdict| verdict == WrittenVerdict::Allow),
        })
    }

    fn protocol(&self) -> Result<u8, String> {
        match &self.proto {
            TextOrNumber::Text(name) => protocol_number(name),
            TextOrNumber::Number(number) => {
                u8::try_from(*number).map_err(|_| unknown_protocol(number))
            }
        }
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
            () if self.vlan.is_some_and(|vlan| vlan > 4_094) => {
                Err("`vlan` is no VLAN id; they run from 0 to 4094".to_owned())
            }
            () => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::label::Label;

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
            ("[", "EOF"),
        ] {
            let error = read(&format!("\n{line}")).unwrap_err();
            assert_eq!(error.line, 2);
            assert!(error.message.contains(part), "{line}: {error}");
        }
    }
}
