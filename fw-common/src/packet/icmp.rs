//! ICMP messages that are about another packet, or answer one.

use super::ip::{self, Addresses};
use super::transport::{self, ICMP, ICMPV6};
use super::{Packet, Window, forget_range};
use crate::wire::{Address, L4};

/// ICMPv4 types (RFC 792).
pub const ECHO_REPLY: u8 = 0;
/// Destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;
/// ICMPv6 types (RFC 4443).
pub const PACKET_TOO_BIG_V6: u8 = 2;
/// Parameter problem: the last of the error messages that are known.
pub const PARAMETER_PROBLEM_V6: u8 = 4;
/// Echo request.
pub const ECHO_REQUEST_V6: u8 = 128;
/// Echo reply.
pub const ECHO_REPLY_V6: u8 = 129;

/// Echo request or reply: it has an identifier.
#[inline(always)]
#[must_use]
pub const fn is_echo(protocol: u8, kind: u8) -> bool {
    if protocol == ICMP {
        kind == ECHO_REQUEST || kind == ECHO_REPLY
    } else {
        kind == ECHO_REQUEST_V6 || kind == ECHO_REPLY_V6
    }
}

/// The type that answers this one, for those that are answered.
#[inline(always)]
#[must_use]
pub const fn reply_type(protocol: u8, kind: u8) -> Option<u8> {
    if protocol == ICMP && kind == ECHO_REQUEST {
        Some(ECHO_REPLY)
    } else if protocol == ICMPV6 && kind == ECHO_REQUEST_V6 {
        Some(ECHO_REPLY_V6)
    } else {
        None
    }
}

/// An answer to an echo request.
#[inline(always)]
#[must_use]
pub const fn is_reply(protocol: u8, kind: u8) -> bool {
    if protocol == ICMP {
        kind == ECHO_REPLY
    } else {
        kind == ECHO_REPLY_V6
    }
}

/// An error message, which quotes the packet that it is about.
#[inline(always)]
#[must_use]
pub const fn is_error(l4: &L4) -> bool {
    if l4.protocol == ICMP {
        matches!(
            l4.icmp_type,
            UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM
        )
    } else {
        l4.protocol == ICMPV6 && l4.icmp_type >= 1 && l4.icmp_type <= PARAMETER_PROBLEM_V6
    }
}

/// The packet that an error message quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Quoted {
    /// Its addresses.
    pub addresses: Addresses,
    /// Its transport header, as far as quoted.
    pub l4: L4,
}

/// Reads the packet quoted by the error message whose own header begins at `offset`.
///
/// `None`: cut short, a later fragment, or an IPv6 packet with extension headers
/// (then nothing can be said of it, and policy decides on the error itself).
#[inline(always)]
pub fn quoted<P: Packet>(packet: &P, family: u8, offset: usize) -> Option<Quoted> {
    let inner = offset + 8;
    let mut quoted = Quoted::default();
    let at = if family == 4 {
        let header = packet.window_at(inner, ip::V4_HEADER)?;
        let length = ip::header_length(header.byte(0));
        if length < ip::V4_HEADER || u16::from_be(header.pair(6)) & 0x1fff != 0 {
            return None;
        }
        quoted.l4.protocol = header.byte(9);
        quoted.addresses.source = Address::v4_word(header.word(12));
        quoted.addresses.destination = Address::v4_word(header.word(16));
        forget_range((inner + length) as u32) as usize
    } else {
        let header = packet.window_at(inner, ip::V6_HEADER)?;
        quoted.l4.protocol = header.byte(6);
        quoted.addresses.source = ip::address(&header, 8);
        quoted.addresses.destination = ip::address(&header, 24);
        inner + ip::V6_HEADER
    };
    transport::parse_quoted(packet, &mut quoted.l4, at).then_some(quoted)
}
