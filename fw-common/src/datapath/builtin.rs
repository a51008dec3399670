//! Traffic without which a node has no network: passes before policy, by name.

use super::flow::Flow;
use crate::packet::icmp;
use crate::packet::transport::{ICMP, ICMPV6, UDP};
use crate::wire::{Builtin, Direction};

const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const FRAGMENTATION_NEEDED: u8 = 4;

/// Whether one of the built-ins that are on (`enabled`: bits) lets it pass.
#[inline(always)]
pub fn passes(enabled: u32, direction: Direction, family: u8, hop_limit: u8, flow: &Flow) -> bool {
    let l4 = &flow.l4;
    let Some(builtin) = (match (family, l4.protocol) {
        // From farther than the link it is forged (RFC 4861 §6.1, §7.1).
        (6, ICMPV6) if is_discovery(l4.icmp_type) && hop_limit == 255 && l4.icmp_code == 0 => {
            Some(Builtin::NeighborDiscovery)
        }
        (6, ICMPV6) if l4.icmp_type == icmp::PACKET_TOO_BIG_V6 => Some(Builtin::PacketTooBig),
        (4, ICMP) if l4.icmp_type == icmp::UNREACHABLE && l4.icmp_code == FRAGMENTATION_NEEDED => {
            Some(Builtin::FragmentationNeeded)
        }
        (_, UDP) => dhcp(direction, family, l4.source, l4.destination),
        _ => None,
    }) else {
        return false;
    };
    enabled & builtin.bit() != 0
}

#[inline(always)]
const fn is_discovery(kind: u8) -> bool {
    kind >= ROUTER_SOLICITATION && kind <= NEIGHBOR_ADVERTISEMENT
}

#[inline(always)]
const fn dhcp(direction: Direction, family: u8, source: u16, destination: u16) -> Option<Builtin> {
    let (client, server) = match direction {
        Direction::Ingress => (destination, source),
        Direction::Egress => (source, destination),
    };
    match (family, client, server) {
        (4, 68, 67) => Some(Builtin::DhcpV4),
        (6, 546, 547) => Some(Builtin::DhcpV6),
        _ => None,
    }
}
