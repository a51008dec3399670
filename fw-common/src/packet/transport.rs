//! TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), ICMP (RFC 792, RFC 4443): as
//! much of them as policy asks for.

use super::{Header, Packet, header};
use crate::wire::{DropReason, L4};

/// IP protocol numbers.
pub const ICMP: u8 = 1;
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

#[derive(Clone, Copy)]
#[repr(C)]
struct Tcp {
    source: [u8; 2],
    destination: [u8; 2],
    sequence: [u8; 8],
    offset: u8,
    flags: u8,
    rest: [u8; 6],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Sctp {
    ports: Ports,
    rest: [u8; 8],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Udp {
    ports: Ports,
    rest: [u8; 4],
}

/// What TCP, UDP and SCTP begin with.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Ports {
    pub source: [u8; 2],
    pub destination: [u8; 2],
}

/// The first eight bytes of ICMP and ICMPv6.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Icmp {
    pub kind: u8,
    pub code: u8,
    checksum: [u8; 2],
    pub id: [u8; 2],
    sequence: [u8; 2],
}

header!(Tcp: 20, Sctp: 12, Udp: 8, Ports: 4, Icmp: 8);

/// Reads the transport header at `offset`.
///
/// # Errors
/// [`DropReason::Invalid`] if the frame ends inside: a first fragment too short
/// for its own header is one way to hide ports (RFC 1858).
#[inline(always)]
pub fn parse<P: Packet>(packet: &P, protocol: u8, offset: usize) -> Result<L4, DropReason> {
    let mut l4 = L4 {
        protocol,
        ..L4::default()
    };
    match protocol {
        TCP => {
            let Some(tcp) = packet.load::<Tcp>(offset) else {
                return Err(DropReason::Invalid);
            };
            l4.source = u16::from_be_bytes(tcp.source);
            l4.destination = u16::from_be_bytes(tcp.destination);
            l4.tcp_flags = tcp.flags;
        }
        UDP => {
            let Some(udp) = packet.load::<Udp>(offset) else {
                return Err(DropReason::Invalid);
            };
            set_ports(&mut l4, udp.ports);
        }
        SCTP => {
            let Some(sctp) = packet.load::<Sctp>(offset) else {
                return Err(DropReason::Invalid);
            };
            set_ports(&mut l4, sctp.ports);
        }
        ICMP | ICMPV6 => {
            let Some(icmp) = packet.load::<Icmp>(offset) else {
                return Err(DropReason::Invalid);
            };
            l4.icmp_type = icmp.kind;
            l4.icmp_code = icmp.code;
            if super::icmp::is_echo(protocol, icmp.kind) {
                l4.source = u16::from_be_bytes(icmp.id);
            }
        }
        _ => {}
    }
    Ok(l4)
}

#[inline(always)]
pub(super) fn set_ports(l4: &mut L4, ports: Ports) {
    l4.source = u16::from_be_bytes(ports.source);
    l4.destination = u16::from_be_bytes(ports.destination);
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
