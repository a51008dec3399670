//! Flows to be judged.

use std::net::IpAddr;

use fw_common::wire::Direction;

use crate::datapath::frame::{Packet, Payload};
use crate::policy::rules::{ICMP, ICMPV6, PORT_PROTOCOLS, Service};
use crate::vlans::UNTAGGED;

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
    /// The packet.
    #[must_use]
    pub fn packet(&self) -> Packet {
        Packet {
            vlan: self.vlan,
            source: self.source,
            destination: self.destination,
            payload: Payload::new(
                self.protocol,
                (self.source_port, self.destination_port),
                (self.icmp_type, self.icmp_code),
            ),
        }
    }

    /// The address that is not the node's.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        match self.direction {
            Direction::Ingress => self.source,
            Direction::Egress => self.destination,
        }
    }

    /// Id of the VLAN that it is in; 0 where it has no tag.
    #[must_use]
    pub fn vlan_id(&self) -> u16 {
        self.vlan.unwrap_or(UNTAGGED)
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
