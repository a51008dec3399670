//! Traffic without which a node has no network: passes before policy, by name.
//!
//! Not here but in [`super::run`] are ARP, which has no IP header, and multicasts, which are
//! known by their receiver alone.

use super::flow::Flow;
use crate::packet::icmp;
use crate::packet::ip::Ip;
use crate::packet::transport::{ICMP, ICMPV6, IGMP, UDP};
use crate::wire::{Address, Builtin, Direction};

const FRAGMENTATION_NEEDED: u8 = 4;
/// The hop limit of what never left its link (RFC 4861 §6.1, §7.1): from farther away it
/// is forged.
const OF_THIS_LINK: u8 = 255;
/// The hop limit, and TTL, of what must not leave it.
const TO_THIS_LINK: u8 = 1;

/// Whether one of the built-ins that are on (`enabled`: bits) lets it pass. Of those that
/// may be usual packets.
#[inline(always)]
pub fn passes(enabled: u32, direction: Direction, family: u8, hop_limit: u8, flow: &Flow) -> bool {
    let l4 = &flow.l4;
    let Some(builtin) = (match (family, l4.protocol) {
        (6, ICMPV6) if hop_limit == OF_THIS_LINK && l4.icmp_code == 0 => {
            let may_discover = may_discover(l4.icmp_type, source(direction, flow));
            may_discover.then_some(Builtin::NeighborDiscovery)
        }
        (_, UDP) => dhcp(direction, family, l4.source, l4.destination),
        _ => None,
    }) else {
        return false;
    };
    enabled & builtin.bit() != 0
}

/// The same of those that never are: errors, and what has options.
#[inline(never)]
pub(super) fn passes_unusual(enabled: u32, direction: Direction, ip: &Ip, flow: &Flow) -> bool {
    let l4 = &flow.l4;
    let to_this_link = ip.options && ip.hop_limit == TO_THIS_LINK;
    let builtin = match (ip.family, l4.protocol) {
        (6, ICMPV6) if l4.icmp_type == icmp::PACKET_TOO_BIG_V6 => Builtin::PacketTooBig,
        (6, ICMPV6) if to_this_link && may_listen(l4.icmp_type, source(direction, flow)) => {
            Builtin::Mld
        }
        (4, ICMP) if l4.icmp_type == icmp::UNREACHABLE && l4.icmp_code == FRAGMENTATION_NEEDED => {
            Builtin::FragmentationNeeded
        }
        (4, IGMP) if to_this_link => Builtin::Igmp,
        _ => return false,
    };
    enabled & builtin.bit() != 0
}

/// Who sent it.
#[inline(always)]
const fn source(direction: Direction, flow: &Flow) -> &Address {
    match direction {
        Direction::Ingress => &flow.key.remote,
        Direction::Egress => &flow.key.local,
    }
}

/// Whether it is a message of neighbour discovery that such a source may send. One
/// without an address may only ask for routers, and whether an address is taken; that
/// goes to a group, and is not judged when it arrives.
#[inline(never)]
fn may_discover(kind: u8, source: &Address) -> bool {
    match kind {
        // Router solicitation (RFC 4861 §6.1.1), certification path solicitation (RFC 3971
        // §6.4.1).
        133 | 148 => true,
        // Router advertisement (RFC 4861 §6.1.2), certification path advertisement (RFC
        // 3971 §6.4.2).
        134 | 149 => source.is_link_local(),
        // Neighbour solicitation and advertisement (RFC 4861 §7.1.1, §4.4), their inverse
        // (RFC 3122 §4).
        135 | 136 | 141 | 142 => !source.is_unspecified(),
        _ => false,
    }
}

/// The same of multicast listener discovery, and of multicast router discovery.
#[inline(always)]
const fn may_listen(kind: u8, source: &Address) -> bool {
    match kind {
        // Listener query (RFC 3810 §5.1.14); multicast router advertisement, solicitation
        // and termination (RFC 4286 §3).
        130 | 151 | 152 | 153 => source.is_link_local(),
        // Listener report, done, and version 2 report (RFC 3590 §3, RFC 3810 §5.2.13).
        131 | 132 | 143 => source.is_link_local() || source.is_unspecified(),
        _ => false,
    }
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
