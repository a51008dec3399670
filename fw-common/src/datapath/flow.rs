//! A packet as the decision sees it.

use super::classify::Service;
use super::tables::Tables;
use crate::packet::behind::Behind;
use crate::packet::ip::{Part, Places};
use crate::packet::transport;
use crate::wire::{Address, Direction, FlowKey, FragmentKey, L4};

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

/// Gives later fragments the transport header of their first one (RFC 791 §3.2:
/// ports are in the first fragment only), and remembers that of a first one.
/// False if there is none.
#[inline(never)]
pub(super) fn find_ports<T: Tables>(
    tables: &T,
    direction: Direction,
    flow: &Flow,
    family: u8,
    behind: &mut Behind,
) -> bool {
    let key = FragmentKey {
        local: flow.key.local,
        remote: flow.key.remote,
        id: behind.fragment.id,
        // In IPv6 the identification alone names the packet (RFC 8200 §4.5).
        protocol: if family == 4 { behind.l4.protocol } else { 0 },
        direction: direction as u8,
        pad: [0; 2],
    };
    if let Part::First = behind.fragment.part {
        tables.set_fragment(&key, behind.l4);
        return true;
    }
    match tables.fragment(&key) {
        Some(first) => {
            behind.l4 = first;
            true
        }
        None => false,
    }
}
