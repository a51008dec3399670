//! Ethernet and VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use super::{Packet, Window};
use crate::wire::DropReason;

/// IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;

/// VLAN tags that are parsed inside a frame: one 802.1ad and one 802.1Q. Frames
/// with more are dropped, since nobody could say what is inside.
pub const MAX_VLAN_TAGS: usize = 2;

const HEADER: usize = 14;
const TAG: usize = 4;

/// What the link layer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Ethertype behind the tags.
    pub ethertype: u16,
    /// Where the network header begins.
    pub offset: usize,
    /// Outermost VLAN id; 0 for none (a priority tag has 0 too).
    pub vlan: u16,
    /// Sent to all stations.
    pub broadcast: bool,
}

/// Reads the Ethernet header and up to [`MAX_VLAN_TAGS`] tags, where there is one.
///
/// # Errors
/// [`DropReason::Invalid`] if the frame ends inside, [`DropReason::VlanTags`] for more tags.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P) -> Result<Link, DropReason> {
    if P::HEADERLESS {
        return Ok(Link {
            ethertype: packet.ethertype(),
            offset: 0,
            vlan: 0,
            broadcast: false,
        });
    }
    let Some(ethernet) = packet.window_at(0, HEADER) else {
        return Err(DropReason::Invalid);
    };
    let mut link = Link {
        ethertype: ethertype(&ethernet, HEADER),
        offset: HEADER,
        vlan: match packet.offloaded_tag() {
            Some(control) => vlan_id(control),
            None => 0,
        },
        broadcast: is_broadcast(&ethernet),
    };
    // A tag that was moved out of the frame counts like the others.
    let mut tags = usize::from(packet.offloaded_tag().is_some());
    while tags < MAX_VLAN_TAGS {
        if !is_tag(link.ethertype) {
            return Ok(link);
        }
        let Some(tag) = packet.window_at(link.offset, TAG) else {
            return Err(DropReason::Invalid);
        };
        if link.vlan == 0 {
            link.vlan = vlan_id(u16::from_be(tag.pair(0)));
        }
        link.ethertype = ethertype(&tag, TAG);
        link.offset += TAG;
        tags += 1;
    }
    if is_tag(link.ethertype) {
        return Err(DropReason::VlanTags);
    }
    Ok(link)
}

/// What the link layer says of that which begins at `at`: the last two bytes of an
/// Ethernet header or a tag.
#[inline(always)]
pub(super) fn ethertype<W: Window>(window: &W, at: usize) -> u16 {
    u16::from_be(window.pair(at - 2))
}

/// Whether that header is addressed to all stations.
#[inline(always)]
pub(super) fn is_broadcast<W: Window>(window: &W) -> bool {
    window.word(0) == u32::MAX && window.pair(4) == u16::MAX
}

/// The VLAN id in a tag's control information.
#[inline(always)]
#[must_use]
pub const fn vlan_id(control: u16) -> u16 {
    control & 0x0fff
}

/// Whether it is ARP, which is of link layers with addresses.
#[inline(always)]
pub const fn is_arp<P: Packet>(ethertype: u16) -> bool {
    !P::HEADERLESS && ethertype == ETHERTYPE_ARP
}

#[inline(always)]
pub(super) const fn is_tag(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ
}
