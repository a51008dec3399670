//! Flows as they are written on the command line: `IP[:PORT]` and `IP:PORT/PROTO`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::engine::{check_protocol, protocol_name, protocol_number};

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Types of an echo request, the usual subject of a question about ICMP.
const ECHO_REQUEST: u16 = 8;
const ECHO_REQUEST_V6: u16 = 128;

/// `--from`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    /// The address.
    pub address: IpAddr,
    /// The port; 0 where none is given.
    pub port: u16,
}

/// `--to`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct To {
    /// The address.
    pub address: IpAddr,
    /// The port, or the type for ICMP.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, port) = socket(text)?;
        Ok(Self {
            address,
            port: port.unwrap_or(0),
        })
    }
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, protocol) = match text.rsplit_once('/') {
            Some((place, name)) => (place, protocol_number(name)?),
            None => (text, TCP),
        };
        let (address, port) = socket(place)?;
        let needs_port = matches!(protocol, 6 | 17 | 132);
        let port = match (port, protocol) {
            (Some(port), _) if needs_port => port,
            (None, _) if needs_port => {
                return Err("the port is missing; write 192.0.2.1:443/tcp".into());
            }
            (port, ICMP) => icmp_type(port, ECHO_REQUEST)?,
            (port, ICMPV6) => icmp_type(port, ECHO_REQUEST_V6)?,
            (Some(_), _) => return Err("this protocol has no ports".into()),
            (None, _) => 0,
        };
        check_protocol(protocol, address)?;
        Ok(Self {
            address,
            port,
            protocol,
        })
    }
}

fn icmp_type(written: Option<u16>, default: u16) -> Result<u16, String> {
    match written.unwrap_or(default) {
        wrong @ 256.. => Err(format!("{wrong} is no ICMP type: they run from 0 to 255")),
        icmp_type => Ok(icmp_type),
    }
}

/// `10.0.0.1`, `10.0.0.1:22`, `fd00::1`, `[fd00::1]`, `[fd00::1]:22`.
fn socket(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok((socket.ip(), Some(socket.port())));
    }
    text.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .map(|address| (address, None))
        .map_err(|_| {
            format!("`{text}` is no address; write 192.0.2.1, 192.0.2.1:22 or [2001:db8::1]:22")
        })
}

/// `443/tcp`, `icmp type 8`, `vrrp`, `protocol 89`.
#[must_use]
pub fn service_name(protocol: u8, port: u16) -> String {
    match (protocol_name(protocol), protocol) {
        (Some(name), 6 | 17 | 132) => format!("{port}/{name}"),
        (Some(name), ICMP | ICMPV6) => format!("{name} type {port}"),
        (Some(name), _) => name,
        (None, _) => format!("protocol {protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        for (text, address, port, protocol) in [
            ("10.0.0.1:22/tcp", "10.0.0.1", 22, 6),
            ("10.0.0.1:22", "10.0.0.1", 22, 6),
            ("[fd00::1]:53/UDP", "fd00::1", 53, 17),
            ("10.0.0.1/icmp", "10.0.0.1", 8, 1),
            ("10.0.0.1:3/icmp", "10.0.0.1", 3, 1),
            ("fd00::1/icmpv6", "fd00::1", 128, 58),
            ("10.0.0.1/vrrp", "10.0.0.1", 0, 112),
            ("10.0.0.1/89", "10.0.0.1", 0, 89),
        ] {
            let expected = To {
                address: address.parse().unwrap(),
                port,
                protocol,
            };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "10.0.0.1",
            "10.0.0.1/tcp",
            "host:22/tcp",
            "10.0.0.1:22/tpc",
            "10.0.0.1:300/icmp",
            "10.0.0.1/icmpv6",
            "fd00::1/icmp",
            "fd00::1/44",
            "10.0.0.1:5/vrrp",
            "10.0.0.1:70000/tcp",
        ] {
            assert!(text.parse::<To>().is_err(), "{text}");
        }
    }

    #[test]
    fn services_have_names() {
        for (protocol, port, expected) in [
            (6, 443, "443/tcp"),
            (1, 8, "icmp type 8"),
            (112, 0, "vrrp"),
            (89, 0, "protocol 89"),
        ] {
            assert_eq!(service_name(protocol, port), expected);
        }
    }

    #[test]
    fn sources() {
        for (text, address, port) in [
            ("10.0.0.1", "10.0.0.1", 0),
            ("10.0.0.1:4000", "10.0.0.1", 4000),
            ("fd00::1", "fd00::1", 0),
            ("[fd00::1]:4000", "fd00::1", 4000),
        ] {
            let expected = From {
                address: address.parse().unwrap(),
                port,
            };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }
}
