//! TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), ICMP (RFC 792, RFC 4443): as
//! much of them as policy asks for.

use super::{Packet, Window};
use crate::wire::{DropReason, L4};

/// IP protocol numbers.
pub const ICMP: u8 = 1;
/// IGMP.
pub const IGMP: u8 = 2;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMPv6.
pub const ICMPV6: u8 = 58;
/// SCTP.
pub const SCTP: u8 = 132;

/// TCP flags.
pub const FIN: u8 = 0x01;
/// SYN.
pub const SYN: u8 = 0x02;
/// RST.
pub const RST: u8 = 0x04;
/// ACK.
pub const ACK: u8 = 0x10;

/// Bytes that are looked at together. Of one length for all protocols, so that the
/// compiler makes no variable of it, which the verifier could not follow.
const PIECE: usize = 8;
/// Bytes of the fixed part of longer headers.
const TCP_HEADER: usize = 20;
const SCTP_HEADER: usize = 12;
/// Bytes of the ports that TCP, UDP and SCTP begin with.
const PORTS: usize = 4;

/// Reads the transport header at `offset`.
///
/// # Errors
/// [`DropReason::Invalid`] if the frame ends inside.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P, protocol: u8, offset: usize) -> Result<L4, DropReason> {
    let mut l4 = L4 {
        protocol,
        ..L4::default()
    };
    if !has_ports(protocol) && protocol != ICMP && protocol != ICMPV6 {
        return Ok(l4);
    }
    let Some(header) = packet.window_at(offset, PIECE) else {
        return Err(DropReason::Invalid);
    };
    if !has_ports(protocol) {
        set_message(&mut l4, &header);
        return Ok(l4);
    }
    set_ports(&mut l4, &header);
    if protocol == TCP {
        let Some(end) = packet.window_at(offset + TCP_HEADER - PIECE, PIECE) else {
            return Err(DropReason::Invalid);
        };
        l4.tcp_flags = end.byte(13 + PIECE - TCP_HEADER);
    } else if protocol == SCTP
        && packet
            .window_at(offset + SCTP_HEADER - PIECE, PIECE)
            .is_none()
    {
        return Err(DropReason::Invalid);
    }
    Ok(l4)
}

/// As much of the header as an ICMP error has to quote (RFC 792): ports, or the type
/// of a message. False if it is not there.
#[inline(always)]
pub(super) fn parse_quoted<P: Packet>(packet: &P, l4: &mut L4, offset: usize) -> bool {
    if has_ports(l4.protocol) {
        let Some(header) = packet.window_at(offset, PORTS) else {
            return false;
        };
        set_ports(l4, &header);
    } else if l4.protocol == ICMP || l4.protocol == ICMPV6 {
        let Some(header) = packet.window_at(offset, PIECE) else {
            return false;
        };
        set_message(l4, &header);
        l4.icmp_code = 0;
    }
    true
}

#[inline(always)]
fn set_ports<W: Window>(l4: &mut L4, header: &W) {
    l4.source = u16::from_be(header.pair(0));
    l4.destination = u16::from_be(header.pair(2));
}

#[inline(always)]
fn set_message<W: Window>(l4: &mut L4, header: &W) {
    l4.icmp_type = header.byte(0);
    l4.icmp_code = header.byte(1);
    if super::icmp::is_echo(l4.protocol, l4.icmp_type) {
        l4.source = u16::from_be(header.pair(4));
    }
}

/// Bytes of the fixed part of a header that is looked into, be it one of IPv6's
/// extension headers; 0 where none is.
#[inline(always)]
#[must_use]
pub const fn fixed_part(protocol: u8) -> u32 {
    (match protocol {
        TCP => TCP_HEADER,
        SCTP => SCTP_HEADER,
        UDP | ICMP | ICMPV6 => PIECE,
        _ if super::ip::is_extension(protocol) => PIECE,
        _ => 0,
    }) as u32
}

/// Whether the protocol has ports.
#[inline(always)]
#[must_use]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

impl L4 {
    /// A TCP packet that asks for a new connection, and nothing else.
    #[inline(always)]
    #[must_use]
    pub const fn is_pure_syn(&self) -> bool {
        self.protocol == TCP && self.tcp_flags & (SYN | ACK | RST | FIN) == SYN
    }
}
