//! The link and the network header, in one step.

use super::eth::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use super::ip::{self, Ip, Places};
use super::{Packet, arp, forget_range};
use crate::wire::DropReason;

/// What the first two headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Front {
    /// The network header; of ARP only the family of its addresses, 4, if they were read.
    pub ip: Ip,
    /// Outermost VLAN id, 0 for none.
    pub vlan: u16,
    /// Sent to all stations of the link.
    pub broadcast: bool,
}

/// Reads them. Why policy cannot judge the packet, if it cannot: it is not readable, or it
/// is ARP, [`DropReason::ArpOff`], which nevertheless passes where that is not off. What
/// is neither IP nor ARP is of no family.
///
/// A function of its own in the kernel, too, so that what it needs is not on the
/// stack of the decision (512 bytes for all).
#[inline(never)]
pub fn read<P: Packet>(
    packet: &P,
    front: &mut Front,
    places: &mut Places<'_>,
) -> Option<DropReason> {
    let link = match eth::parse(packet) {
        Ok(link) => link,
        Err(reason) => return Some(reason),
    };
    front.vlan = link.vlan;
    front.broadcast = link.broadcast;
    if eth::is_arp::<P>(link.ethertype) {
        if arp::read(packet, link.offset as u32, places) {
            front.ip.family = 4;
        }
        return Some(DropReason::ArpOff);
    }
    if link.ethertype != ETHERTYPE_IPV4 && link.ethertype != ETHERTYPE_IPV6 {
        return None;
    }
    match ip::parse(
        packet,
        link.ethertype,
        forget_range(link.offset as u32),
        places,
    ) {
        Ok(ip) => {
            front.ip = ip;
            None
        }
        Err(reason) => Some(reason),
    }
}
