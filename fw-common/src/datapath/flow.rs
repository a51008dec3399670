//! A packet as the decision sees it.

use super::classify::Service;
use crate::packet::ip::Places;
use crate::packet::transport;
use crate::wire::{Address, Direction, FlowKey, L4};

/// Who talks to whom about what. Aligned so that clearing it is six stores, for which
/// the compiler calls no `memset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
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

    /// Where its addresses and its transport header are read to.
    #[inline(always)]
    pub(super) const fn places(&mut self, direction: Direction) -> (Places<'_>, &mut L4) {
        let key = &mut self.key;
        let (source, destination) = match direction {
            Direction::Ingress => (&mut key.remote, &mut key.local),
            Direction::Egress => (&mut key.local, &mut key.remote),
        };
        let places = Places {
            source,
            destination,
        };
        (places, &mut self.l4)
    }

    /// Completes the key by what the transport header says.
    #[inline(always)]
    pub(super) fn complete(&mut self, direction: Direction) {
        let l4 = &self.l4;
        let (local, remote) = match direction {
            Direction::Ingress => (l4.destination, l4.source),
            Direction::Egress => (l4.source, l4.destination),
        };
        let ports = transport::has_ports(l4.protocol);
        // The identifier of an echo is the same in both directions.
        self.key.local_port = if ports { local } else { l4.source };
        self.key.remote_port = if ports { remote } else { 0 };
        self.key.protocol = l4.protocol;
    }
}
