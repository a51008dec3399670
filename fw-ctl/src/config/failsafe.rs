//! Failsafe entries: what passes before any policy, so that a mistake in a
//! policy cannot lock the operator out.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const PROTOCOLS: [(&str, u8); 5] = [
    ("tcp", TCP),
    ("udp", 17),
    ("sctp", 132),
    ("icmp", ICMP),
    ("icmpv6", ICMPV6),
];

/// One entry of `failsafe.inbound` or `failsafe.outbound`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct FailsafeEntry {
    /// IP protocol number.
    pub protocol: u8,
    /// Ports of the receiver.
    pub ports: FailsafePorts,
    /// The peer; `None`: everybody.
    pub cidr: Option<IpNet>,
    /// Where it was written.
    pub origin: Origin,
}

/// `path:line`, empty for the default. What an entry means does not depend on it: entries
/// that differ in nothing else are equal, so that a line more above them changes nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Origin(pub String);

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

/// The ports of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailsafePorts {
    /// ICMP and ICMPv6 have none.
    None,
    /// The ports that sshd listens on.
    Ssh,
    /// First and last, both meant.
    Range(RangeInclusive<u16>),
}

/// The key of an entry that is only in what the daemon keeps: operators may not write it.
pub(super) const KEPT: &str = "origin";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr: Option<String>,
    /// [`KEPT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

impl From<FailsafeEntry> for Written {
    fn from(entry: FailsafeEntry) -> Self {
        let mut known = PROTOCOLS.iter();
        let protocol = known.find(|row| row.1 == entry.protocol);
        Self {
            protocol: protocol.map_or_else(String::new, |row| row.0.to_owned()),
            port: (entry.ports != FailsafePorts::None).then_some(Port(entry.ports)),
            cidr: entry.cidr.map(|cidr| cidr.to_string()),
            origin: (!entry.origin.0.is_empty()).then_some(entry.origin.0),
        }
    }
}

struct Port(FailsafePorts);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortVisitor).map(Self)
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            FailsafePorts::Range(ports) => {
                serializer.collect_str(&format_args!("{}-{}", ports.start(), ports.end()))
            }
            FailsafePorts::Ssh | FailsafePorts::None => serializer.serialize_str("ssh"),
        }
    }
}

/// What a port may be.
const PORT: &str = "a port from 1 to 65535, a range as \"8000-8100\", or \"ssh\"";

struct PortVisitor;

fn no_port<E: de::Error>(written: impl std::fmt::Display) -> E {
    E::custom(format!("`{written}` is not {PORT}"))
}

impl Visitor<'_> for PortVisitor {
    type Value = FailsafePorts;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(PORT)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<FailsafePorts, E> {
        match u16::try_from(value) {
            Ok(port) if port > 0 => Ok(FailsafePorts::Range(port..=port)),
            _ => Err(no_port(value)),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<FailsafePorts, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(no_port(value)),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<FailsafePorts, E> {
        if value == "ssh" {
            return Ok(FailsafePorts::Ssh);
        }
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let ends = match value.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)),
            None => number(value).map(|port| (port, port)),
        };
        match ends {
            Some((first, last)) if first <= last => Ok(FailsafePorts::Range(first..=last)),
            Some((first, last)) => Err(E::custom(format!(
                "the range {first}-{last} is empty\nwrite the smaller port first"
            ))),
            None => Err(no_port(format_args!("{value:?}"))),
        }
    }
}

impl TryFrom<Written> for FailsafeEntry {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let protocol = PROTOCOLS
            .iter()
            .find(|row| row.0.eq_ignore_ascii_case(&written.protocol))
            .map(|row| row.1)
            .ok_or_else(|| {
                let names: Vec<_> = PROTOCOLS.iter().map(|row| row.0).collect();
                format!(
                    "unknown protocol {:?}\none of: {}",
                    written.protocol,
                    names.join(", ")
                )
            })?;
        let has_ports = protocol != ICMP && protocol != ICMPV6;
        let ports = match (written.port, has_ports) {
            (Some(Port(FailsafePorts::Ssh)), _) if protocol != TCP => {
                return Err("port \"ssh\" goes with protocol \"tcp\" only\n\
                            write the number"
                    .into());
            }
            (Some(Port(ports)), true) => ports,
            (None, false) => FailsafePorts::None,
            (None, true) => {
                return Err(format!(
                    "`port` is missing: a failsafe for every {} port would be no firewall\n\
                     write {PORT}",
                    written.protocol
                ));
            }
            (Some(_), false) => {
                return Err(format!(
                    "protocol `{}` has no ports\nleave `port` out: all its messages are meant",
                    written.protocol
                ));
            }
        };
        let cidr = written.cidr.as_deref().map(parse_cidr).transpose()?;
        match (protocol, cidr) {
            (ICMP, Some(IpNet::V6(_))) => {
                return Err("protocol `icmp` is IPv4, but `cidr` is IPv6\nuse `icmpv6`".into());
            }
            (ICMPV6, Some(IpNet::V4(_))) => {
                return Err("protocol `icmpv6` is IPv6, but `cidr` is IPv4\nuse `icmp`".into());
            }
            _ => {}
        }
        Ok(Self {
            protocol,
            ports,
            cidr,
            origin: Origin(written.origin.unwrap_or_default()),
        })
    }
}

fn parse_cidr(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text
        .parse()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| {
            format!("{text:?} is no CIDR\nwrite an address or a prefix as 192.0.2.0/24")
        })?;
    if net.trunc() != net {
        return Err(format!(
            "`{text}` has bits beyond its prefix length\ndid you mean {}?",
            net.trunc()
        ));
    }
    match nobody(net) {
        Some(why) => Err(format!("nobody is in `{text}`: {why}")),
        None => Ok(net),
    }
}

/// Why no packet that is judged has a peer in the prefix, if that is so.
fn nobody(net: IpNet) -> Option<String> {
    let within = |text: &str| text.parse().is_ok_and(|wide: IpNet| wide.contains(&net));
    match net {
        IpNet::V6(net) if within("::ffff:0:0/96") => {
            let [.., a, b, c, d] = net.addr().octets();
            let length = net.prefix_len() - 96;
            Some(format!(
                "packets carry IPv4 addresses as such\nwrite {a}.{b}.{c}.{d}/{length}"
            ))
        }
        _ if within("127.0.0.0/8") || within("::1/128") => {
            Some("no other machine has a loopback address\nleave it out".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(toml: &str) -> Result<FailsafeEntry, String> {
        toml_edit::de::from_str(toml).map_err(|e| e.to_string())
    }

    #[test]
    fn ports_are_numbers_ranges_or_ssh() {
        let ports =
            |text: &str| entry(&format!("protocol = \"tcp\"\nport = {text}")).map(|e| e.ports);
        assert_eq!(ports("22"), Ok(FailsafePorts::Range(22..=22)));
        assert_eq!(ports("\"22\""), Ok(FailsafePorts::Range(22..=22)));
        assert_eq!(
            ports("\"8000-8100\""),
            Ok(FailsafePorts::Range(8000..=8100))
        );
        assert_eq!(ports("\"ssh\""), Ok(FailsafePorts::Ssh));
        for wrong in ["0", "65536", "-1", "\"sssh\"", "\"9-8\"", "\"0-9\"", "true"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
        for wrong in ["65536", "-1", "\"sssh\""] {
            let error = ports(wrong).unwrap_err();
            let expected = format!("`{wrong}` is not a port from 1 to 65535, a range as");
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for text in [
            "protocol = \"tcp\"\nport = \"ssh\"",
            "protocol = \"udp\"\nport = \"8000-8100\"\ncidr = \"192.0.2.0/24\"",
            "protocol = \"sctp\"\nport = 1",
            "protocol = \"icmpv6\"\ncidr = \"fd00::/8\"",
        ] {
            let entry = entry(text).unwrap();
            let json = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<FailsafeEntry>(&json).unwrap(), entry);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for (text, part) in [
            ("protocol = \"icmp\"\nport = 8", "has no ports"),
            ("protocol = \"udp\"\nport = \"ssh\"", "only"),
            ("protocol = \"tcp\"", "`port` is missing"),
            ("protocol = \"tpc\"\nport = 1", "unknown protocol \"tpc\""),
            ("protocol = \"icmpv6\"\ncidr = \"10.0.0.0/8\"", "use `icmp`"),
            ("protocol = \"icmp\"\ncidr = \"fd00::/8\"", "use `icmpv6`"),
            (
                "protocol = \"tcp\"\nport = 22\ncidr = \"10.1.0.0/8\"",
                "did you mean 10.0.0.0/8",
            ),
            (
                "protocol = \"tcp\"\nport = 22\ncidr = \"ten\"",
                "is no CIDR",
            ),
            ("protocol = \"tcp\"\nports = 22", "unknown field `ports`"),
            (
                "protocol = \"tcp\"\nport = 22\ncidr = \"::ffff:192.0.2.0/120\"",
                "write 192.0.2.0/24",
            ),
            (
                "protocol = \"tcp\"\nport = 22\ncidr = \"127.0.0.1\"",
                "nobody is in `127.0.0.1`",
            ),
            (
                "protocol = \"tcp\"\nport = 22\ncidr = \"::1\"",
                "nobody is in `::1`",
            ),
        ] {
            let error = entry(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_bare_address_is_a_host_prefix() {
        let entry = entry("protocol = \"tcp\"\nport = 22\ncidr = \"192.0.2.7\"").unwrap();
        assert_eq!(entry.cidr, Some("192.0.2.7/32".parse().unwrap()));
    }
}
