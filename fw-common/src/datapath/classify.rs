//! VLAN and peer class × service class → verdict word: constant cost, whatever the size
//! of the policy (recursive flow classification, Gupta & McKeown 1999).

use super::tables::{Numbers, Tables, View};
use crate::packet::transport::{ICMP, ICMPV6, SCTP, TCP, UDP};
use crate::wire::{Address, Direction, RULE_NO_POLICY, VerdictWord, direction_index, port_index};

/// What decides about the transport side of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// IP protocol number.
    pub protocol: u8,
    /// ICMP type, for ICMP and ICMPv6.
    pub icmp_type: u8,
    /// Destination port, for TCP, UDP and SCTP.
    pub port: u16,
}

/// Class of the peer: its own, else that of its prefix.
///
/// A missing entry cannot happen with a plan that was read back; it is answered
/// by the class 0, and the matrix decides.
#[inline(always)]
pub fn peer_class<T: Tables>(tables: &T, view: View<'_>, family: u8, peer: &Address) -> u32 {
    tables.peer_class(view, family, peer).unwrap_or(0)
}

/// The verdict of policy on one packet. A hole in the tables denies.
#[inline(always)]
pub fn verdict<T: Tables>(
    tables: &T,
    view: View<'_>,
    direction: Direction,
    row: u32,
    service: Service,
) -> VerdictWord {
    // Not an index: the verifier does not know that a direction is 0 or 1.
    let columns = match direction {
        Direction::Ingress => view.plan.columns[0],
        Direction::Egress => view.plan.columns[1],
    };
    let Some(column) = service_class(tables, view.index, direction, service) else {
        return VerdictWord::default_deny(RULE_NO_POLICY);
    };
    match tables.verdict(view.index, direction, row * columns + column) {
        Some(word) => word,
        None => VerdictWord::default_deny(RULE_NO_POLICY),
    }
}

#[inline(always)]
fn service_class<T: Tables>(
    tables: &T,
    generation: u32,
    direction: Direction,
    service: Service,
) -> Option<u32> {
    let slot = match service.protocol {
        TCP => 0,
        UDP => 1,
        SCTP => 2,
        protocol => {
            let table = direction_index(generation, direction);
            return match protocol {
                ICMP => tables.number_class(table, Numbers::Icmp, service.icmp_type),
                ICMPV6 => tables.number_class(table, Numbers::Icmpv6, service.icmp_type),
                _ => tables.number_class(table, Numbers::Protocol, protocol),
            };
        }
    };
    tables.port_class(port_index(generation, direction, slot), service.port)
}
