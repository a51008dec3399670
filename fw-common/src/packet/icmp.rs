//! ICMP messages that are about another packet, or answer one.

use super::ip::{Addresses, Ipv4, Ipv6};
use super::transport::{self, ICMP, ICMPV6, Icmp, Ports};
use super::{Packet, forget_range, ip};
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
    let (mut quoted, at) = if family == 4 {
        let header = packet.load::<Ipv4>(inner)?;
        let length = usize::from(header.version_length & 0x0f) * 4;
        if length < 20 || u16::from_be_bytes(header.fragment) & 0x1fff != 0 {
            return None;
        }
        (
            Quoted {
                addresses: Addresses {
                    source: Address::v4(header.source),
                    destination: Address::v4(header.destination),
                },
                l4: L4 {
                    protocol: header.protocol,
                    ..L4::default()
                },
            },
            forget_range((inner + length) as u32) as usize,
        )
    } else {
        let header = packet.load::<Ipv6>(inner)?;
        (
            Quoted {
                addresses: Addresses {
                    source: Address::v6(header.source),
                    destination: Address::v6(header.destination),
                },
                l4: L4 {
                    protocol: header.next,
                    ..L4::default()
                },
            },
            inner + core::mem::size_of::<ip::Ipv6>(),
        )
    };
    let protocol = quoted.l4.protocol;
    if transport::has_ports(protocol) {
        transport::set_ports(&mut quoted.l4, packet.load::<Ports>(at)?);
    } else if protocol == ICMP || protocol == ICMPV6 {
        let header = packet.load::<Icmp>(at)?;
        quoted.l4.icmp_type = header.kind;
        if is_echo(protocol, header.kind) {
            quoted.l4.source = u16::from_be_bytes(header.id);
        }
    }
    Some(quoted)
}
