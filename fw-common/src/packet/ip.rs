//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use super::eth::{ETHERTYPE_IPV4, Link};
use super::{Header, Packet, forget_range, header};
use crate::wire::{Address, DropReason};

/// IPv6 extension headers that are followed. A packet with more is dropped: a
/// firewall that passed it would be walked around with one header more.
pub const MAX_EXTENSION_HEADERS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Ipv4 {
    pub version_length: u8,
    service: u8,
    total_length: [u8; 2],
    pub id: [u8; 2],
    pub fragment: [u8; 2],
    ttl: u8,
    pub protocol: u8,
    checksum: [u8; 2],
    pub source: [u8; 4],
    pub destination: [u8; 4],
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Ipv6 {
    pub version: u8,
    flow: [u8; 3],
    payload_length: [u8; 2],
    pub next: u8,
    hop_limit: u8,
    pub source: [u8; 16],
    pub destination: [u8; 16],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Extension {
    next: u8,
    length: u8,
    fragment: [u8; 2],
    id: [u8; 4],
}

header!(Ipv4: 20, Ipv6: 40, Extension: 8);

/// The network header, without its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Ip {
    /// Where the next header begins; 0: the header contradicts itself.
    pub offset: u32,
    /// What part of a packet this is (IPv6 says so in an extension header).
    pub fragment: Fragment,
    /// 4 or 6; 0 for what is no IP packet.
    pub family: u8,
    /// IPv4: protocol; IPv6: next header.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Zero.
    pub pad: u8,
}

/// Sender and receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Addresses {
    /// Sender.
    pub source: Address,
    /// Receiver.
    pub destination: Address,
}

/// Whether a packet is whole. No enum with a payload: the verifier refuses the
/// undefined bytes of its other variants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Fragment {
    /// Identification; 0 for a whole packet.
    pub id: u32,
    /// The part of the packet.
    pub part: Part,
}

/// Which part of a packet a frame carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    #[default]
    Whole = 0,
    /// The first fragment, with the transport header.
    First = 1,
    /// A later fragment.
    Later = 2,
}

/// Reads the fixed part of the header.
///
/// # Errors
/// [`DropReason::Invalid`] if the frame ends inside.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P, link: &Link) -> Result<(Ip, Addresses), DropReason> {
    let at = forget_range(link.offset as u32) as usize;
    if link.ethertype == ETHERTYPE_IPV4 {
        let Some(header) = packet.load::<Ipv4>(at) else {
            return Err(DropReason::Invalid);
        };
        let length = usize::from(header.version_length & 0x0f) * 4;
        let sane = header.version_length >> 4 == 4 && length >= 20;
        let ip = Ip {
            offset: if sane { (at + length) as u32 } else { 0 },
            fragment: fragment_of(
                u16::from_be_bytes(header.fragment) & 0x3fff,
                0x2000,
                u32::from(u16::from_be_bytes(header.id)),
            ),
            family: 4,
            protocol: header.protocol,
            hop_limit: header.ttl,
            pad: 0,
        };
        let addresses = Addresses {
            source: Address::v4(header.source),
            destination: Address::v4(header.destination),
        };
        Ok((ip, addresses))
    } else {
        let Some(header) = packet.load::<Ipv6>(at) else {
            return Err(DropReason::Invalid);
        };
        let sane = header.version >> 4 == 6;
        let ip = Ip {
            offset: if sane {
                (at + size_of::<Ipv6>()) as u32
            } else {
                0
            },
            fragment: Fragment::default(),
            family: 6,
            protocol: header.next,
            hop_limit: header.hop_limit,
            pad: 0,
        };
        let addresses = Addresses {
            source: Address::v6(header.source),
            destination: Address::v6(header.destination),
        };
        Ok((ip, addresses))
    }
}

/// Follows the extension headers of IPv6 to the transport header.
///
/// # Errors
/// [`DropReason::Invalid`] if a header contradicts itself or the frame ends
/// inside, [`DropReason::ExtensionHeaders`] for more than [`MAX_EXTENSION_HEADERS`].
#[inline(always)]
pub fn follow<P: Packet>(packet: &P, ip: &mut Ip) -> Result<(), DropReason> {
    if ip.offset == 0 {
        return Err(DropReason::Invalid);
    }
    if ip.family == 4 {
        return Ok(());
    }
    let mut headers = 0;
    while headers < MAX_EXTENSION_HEADERS {
        if !is_extension(ip.protocol) {
            return Ok(());
        }
        let Some(extension) = packet.load::<Extension>(ip.offset as usize) else {
            return Err(DropReason::Invalid);
        };
        if ip.protocol == FRAGMENT {
            let bits = u16::from_be_bytes(extension.fragment);
            ip.fragment = fragment_of(bits & 0xfff9, 1, u32::from_be_bytes(extension.id));
            ip.offset += 8;
            // What follows a later fragment's header is payload, whatever `next` says.
            if let Part::Later = ip.fragment.part {
                ip.protocol = extension.next;
                return Ok(());
            }
        } else {
            ip.offset += (u32::from(extension.length) + 1) * 8;
        }
        ip.protocol = extension.next;
        ip.offset = forget_range(ip.offset);
        headers += 1;
    }
    if is_extension(ip.protocol) {
        return Err(DropReason::ExtensionHeaders);
    }
    Ok(())
}

/// `bits`: fragment offset and the more-fragments flag `more`, nothing else.
#[inline(always)]
const fn fragment_of(bits: u16, more: u16, id: u32) -> Fragment {
    let part = if bits == 0 {
        Part::Whole
    } else if bits & !more == 0 {
        Part::First
    } else {
        Part::Later
    };
    Fragment { id, part }
}

/// Headers that hide the transport header. AH and ESP are protocols of their own to policy.
#[inline(always)]
#[must_use]
pub const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

impl Address {
    /// The node's own, wherever it comes from (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    /// Nothing on the wire should have it, but with `route_localnet` the kernel
    /// delivers it to services that listen on localhost only (CVE-2020-8558).
    #[inline(always)]
    #[must_use]
    pub const fn is_loopback(&self, family: u8) -> bool {
        if family == 4 {
            self.v4_bytes()[0] == 127
        } else {
            self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0 && self.0[3] == 1_u32.to_be()
        }
    }

    /// Multicast, or the limited broadcast of IPv4 (RFC 5771, RFC 919, RFC 4291).
    #[inline(always)]
    #[must_use]
    pub const fn is_multicast(&self, family: u8) -> bool {
        if family == 4 {
            let bytes = self.v4_bytes();
            bytes[0] >= 224 && bytes[0] < 240 || self.0[3] == u32::MAX
        } else {
            self.0[0].to_ne_bytes()[0] == 0xff
        }
    }
}
