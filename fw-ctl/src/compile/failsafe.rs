//! Allowances before any policy, so that no policy can lock the operator out.

use std::fmt;

use fw_common::wire::Direction;
use ipnet::IpNet;

use crate::policy::rules::{ICMP, ICMPV6, ServiceRange};

/// One entry of `[failsafe]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failsafe {
    /// Which way.
    pub direction: Direction,
    /// What.
    pub services: Vec<ServiceRange>,
    /// With whom; `None`: everybody. Unlike in policies, by the address alone.
    pub cidr: Option<IpNet>,
    /// `path:line`; empty for the default.
    pub origin: String,
}

impl Failsafe {
    /// Where it was written, in words.
    #[must_use]
    pub fn place(&self) -> &str {
        if self.origin.is_empty() {
            "the default"
        } else {
            &self.origin
        }
    }
}

/// `tcp 22,2222 from 192.0.2.0/24`
impl fmt::Display for Failsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.services.first() {
            None => "nothing",
            Some(ServiceRange::Ports { protocol: 6, .. }) => "tcp",
            Some(ServiceRange::Ports { protocol: 17, .. }) => "udp",
            Some(ServiceRange::Ports { .. }) => "sctp",
            Some(ServiceRange::Icmp(_) | ServiceRange::Protocol(ICMP)) => "icmp",
            Some(ServiceRange::Icmpv6(_) | ServiceRange::Protocol(ICMPV6)) => "icmpv6",
            Some(ServiceRange::Protocol(_)) => "a protocol",
        };
        let ports = self.services.iter().filter_map(|range| match range {
            ServiceRange::Ports { first, last, .. } if first == last => Some(first.to_string()),
            ServiceRange::Ports { first, last, .. } => Some(format!("{first}-{last}")),
            _ => None,
        });
        let ports: Vec<_> = ports.collect();
        let side = match self.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        let peer = self
            .cidr
            .map_or_else(|| "anybody".to_owned(), |cidr| cidr.to_string());
        write!(f, "{protocol}")?;
        if !ports.is_empty() {
            write!(f, " {}", ports.join(","))?;
        }
        write!(f, " {side} {peer}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_as_they_are_written() {
        let ports = |first, last| ServiceRange::Ports {
            protocol: 6,
            first,
            last,
        };
        let mut entry = Failsafe {
            direction: Direction::Ingress,
            services: vec![ports(22, 22), ports(8_000, 8_100)],
            cidr: Some("192.0.2.0/24".parse().unwrap()),
            origin: String::new(),
        };
        assert_eq!(entry.to_string(), "tcp 22,8000-8100 from 192.0.2.0/24");
        assert_eq!(entry.place(), "the default");
        entry.origin = "fw-ctl.toml:7".into();
        assert_eq!(entry.place(), "fw-ctl.toml:7");
        entry.direction = Direction::Egress;
        entry.cidr = None;
        entry.services = (0..=255).map(ServiceRange::Icmpv6).collect();
        assert_eq!(entry.to_string(), "icmpv6 to anybody");
    }
}
