//! A packet as the decision sees it.

use super::classify::Service;
use super::tables::Tables;
use crate::packet::ip::{self, Fragment, Ip};
use crate::packet::{Packet, transport};
use crate::wire::{Address, Direction, DropReason, FlowKey, FragmentKey, L4};

/// Who talks to whom about what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The connection, seen from the node.
    pub key: FlowKey,
    /// The transport header, of the first fragment if this is a later one.
    pub l4: L4,
}

impl Flow {
    /// The address of the other side.
    #[inline(always)]
    #[must_use]
    pub const fn peer(&self) -> &Address {
        &self.key.remote
    }

    /// What policy is asked about.
    #[inline(always)]
    #[must_use]
    pub const fn service(&self) -> Service {
        Service {
            protocol: self.l4.protocol,
            icmp_type: self.l4.icmp_type,
            port: self.l4.destination,
        }
    }

    #[inline(always)]
    pub(super) fn new(direction: Direction, ip: &Ip, l4: L4) -> Self {
        let (local, remote, local_port, remote_port) = match direction {
            Direction::Ingress => (ip.destination, ip.source, l4.destination, l4.source),
            Direction::Egress => (ip.source, ip.destination, l4.source, l4.destination),
        };
        let ports = transport::has_ports(l4.protocol);
        Self {
            key: FlowKey {
                local,
                remote,
                // The identifier of an echo is the same in both directions.
                local_port: if ports { local_port } else { l4.source },
                remote_port: if ports { remote_port } else { 0 },
                protocol: l4.protocol,
                pad: [0; 3],
            },
            l4,
        }
    }
}

/// Reads what is behind the network header; later fragments get it from their
/// first one (RFC 791 §3.2: ports are in the first fragment only).
///
/// # Errors
/// Why the packet cannot be judged.
#[inline(always)]
pub(super) fn read<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    ip: &mut Ip,
) -> Result<L4, DropReason> {
    ip::follow(packet, ip)?;
    match ip.fragment {
        Fragment::Whole => transport::parse(packet, ip.protocol, ip.offset),
        Fragment::First(id) => {
            let l4 = transport::parse(packet, ip.protocol, ip.offset)?;
            tables.set_fragment(&fragment_key(ip, id), l4);
            Ok(l4)
        }
        Fragment::Later(id) => match tables.fragment(&fragment_key(ip, id)) {
            Some(l4) => Ok(l4),
            None => Err(DropReason::FragmentWithoutFirst),
        },
    }
}

#[inline(always)]
const fn fragment_key(ip: &Ip, id: u32) -> FragmentKey {
    FragmentKey {
        source: ip.source,
        destination: ip.destination,
        id,
        // In IPv6 the identification alone names the packet (RFC 8200 §4.5).
        protocol: if ip.family == 4 { ip.protocol } else { 0 },
        pad: [0; 3],
    }
}
