//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use super::eth::ETHERTYPE_IPV4;
use super::fragment::{Fragment, Part};
use super::{Packet, Window, forget_range};
use crate::wire::{Address, DropReason};

/// IPv6 extension headers that are followed. A packet with more is dropped: a
/// firewall that passed it would be walked around with one header more.
pub const MAX_EXTENSION_HEADERS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
/// "More fragments", in the word with the offset.
const MORE_V4: u16 = 0x2000;

/// Bytes of a header without options.
pub(super) const V4_HEADER: usize = 20;
/// Bytes of a header without extensions.
pub(super) const V6_HEADER: usize = 40;
/// Of every extension header at least as many bytes are there.
const EXTENSION: usize = 8;

/// The network header, without its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Ip {
    /// Where the next header begins; 0: the header contradicts itself.
    pub offset: u32,
    /// Where the packet ends, by its header; behind it is padding, whatever it looks like.
    pub end: u32,
    /// What part of a packet this is (IPv6 says so in an extension header).
    pub fragment: Fragment,
    /// 4 or 6; 0 for what is no IP packet.
    pub family: u8,
    /// IPv4: protocol; IPv6: next header.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Whether there are options: behind the fixed part of IPv4, or in a hop-by-hop
    /// header, which comes first of all (RFC 8200 §4.1).
    pub options: bool,
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

/// Where addresses are read to, so that they need not be copied.
pub struct Places<'a> {
    /// Sender.
    pub source: &'a mut Address,
    /// Receiver.
    pub destination: &'a mut Address,
}

/// Reads the fixed part of the header.
///
/// # Errors
/// [`DropReason::Invalid`] if the frame ends inside.
#[inline(always)]
pub fn parse<P: Packet>(
    packet: &P,
    ethertype: u16,
    offset: u32,
    places: &mut Places<'_>,
) -> Result<Ip, DropReason> {
    let at = offset as usize;
    if ethertype == ETHERTYPE_IPV4 {
        let Some(header) = packet.window_at(at, V4_HEADER) else {
            return Err(DropReason::Invalid);
        };
        let first = header.byte(0);
        let length = header_length(first);
        let sane = first >> 4 == 4 && length >= V4_HEADER;
        let total = u32::from(u16::from_be(header.pair(2)));
        let bits = u16::from_be(header.pair(6));
        *places.source = Address::v4_word(header.word(12));
        *places.destination = Address::v4_word(header.word(16));
        Ok(Ip {
            offset: if sane { (at + length) as u32 } else { 0 },
            end: offset + total,
            fragment: Fragment::new(
                u32::from(u16::from_be(header.pair(4))),
                bits << 3,
                bits & MORE_V4 != 0,
                total.wrapping_sub(length as u32),
            ),
            family: 4,
            protocol: header.byte(9),
            hop_limit: header.byte(8),
            options: length > V4_HEADER,
        })
    } else {
        let Some(header) = packet.window_at(at, V6_HEADER) else {
            return Err(DropReason::Invalid);
        };
        let sane = header.byte(0) >> 4 == 6;
        *places.source = address(&header, 8);
        *places.destination = address(&header, 24);
        Ok(Ip {
            offset: if sane { (at + V6_HEADER) as u32 } else { 0 },
            end: offset + V6_HEADER as u32 + u32::from(u16::from_be(header.pair(4))),
            fragment: Fragment::default(),
            family: 6,
            protocol: header.byte(6),
            hop_limit: header.byte(7),
            options: header.byte(6) == HOP_BY_HOP,
        })
    }
}

/// Bytes of an IPv4 header, from its first byte.
#[inline(always)]
pub(super) const fn header_length(first: u8) -> usize {
    (first & 0x0f) as usize * 4
}

/// The IPv6 address at `at`.
#[inline(always)]
pub(super) fn address<W: Window>(window: &W, at: usize) -> Address {
    Address([
        window.word(at),
        window.word(at + 4),
        window.word(at + 8),
        window.word(at + 12),
    ])
}

/// Follows the extension headers of IPv6 to the transport header. Whether there is a
/// Fragment header among them.
///
/// # Errors
/// [`DropReason::Invalid`] if a header contradicts itself or the frame ends
/// inside, [`DropReason::ExtensionHeaders`] for more than [`MAX_EXTENSION_HEADERS`]
/// or a fragment of a fragment (RFC 8200 §4.1: a header occurs once).
#[inline(always)]
pub fn follow<P: Packet>(packet: &P, ip: &mut Ip) -> Result<bool, DropReason> {
    if ip.offset == 0 {
        return Err(DropReason::Invalid);
    }
    if ip.family == 4 {
        return Ok(false);
    }
    let mut headers = 0;
    let mut fragmented = false;
    while headers < MAX_EXTENSION_HEADERS {
        if !is_extension(ip.protocol) {
            return Ok(fragmented);
        }
        let Some(extension) = packet.window_at(ip.offset as usize, EXTENSION) else {
            return Err(DropReason::Invalid);
        };
        if ip.protocol == FRAGMENT {
            if fragmented {
                return Err(DropReason::ExtensionHeaders);
            }
            fragmented = true;
            ip.offset += 8;
            let bits = u16::from_be(extension.pair(2));
            ip.fragment = Fragment::new(
                u32::from_be(extension.word(4)),
                bits & !7,
                bits & 1 != 0,
                ip.end.wrapping_sub(ip.offset),
            );
            // What follows a later fragment's header is payload, whatever `next` says.
            if let Part::Later = ip.fragment.part {
                ip.protocol = extension.byte(0);
                return Ok(true);
            }
        } else {
            ip.offset += (u32::from(extension.byte(1)) + 1) * 8;
        }
        ip.protocol = extension.byte(0);
        ip.offset = forget_range(ip.offset);
        headers += 1;
    }
    if is_extension(ip.protocol) {
        return Err(DropReason::ExtensionHeaders);
    }
    Ok(fragmented)
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

    /// `fe80::/10` (RFC 4291 §2.5.6), of an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_link_local(&self) -> bool {
        let [first, second, ..] = self.0[0].to_ne_bytes();
        first == 0xfe && second & 0xc0 == 0x80
    }

    /// `::` (RFC 4291 §2.5.2), of an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_unspecified(&self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
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
