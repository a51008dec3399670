//! Frames of the table: the product's builder where the packet is ordinary, raw
//! bytes put together here where it is not.

use std::net::IpAddr;
use std::ops::Range;

use fw_ctl::datapath::frame::{Packet, Payload};

/// The node.
pub const NODE: &str = "10.0.0.1";
/// The node in IPv6.
pub const NODE6: &str = "fd00::1";
/// May use SSH.
pub const ADMIN: &str = "10.0.1.7";
/// May use SSH.
pub const ADMIN6: &str = "fd00:1::7";
/// May not.
pub const STRANGER: &str = "203.0.113.9";
/// May not.
pub const STRANGER6: &str = "2001:db8::9";

pub const SYN: u8 = 0x02;
pub const SYN_ACK: u8 = 0x12;
pub const ACK: u8 = 0x10;
pub const FIN_ACK: u8 = 0x11;
pub const RST: u8 = 0x04;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Any packet in an untagged frame.
pub fn packet(source: &str, destination: &str, payload: Payload) -> Vec<u8> {
    Packet {
        vlan: None,
        source: address(source),
        destination: address(destination),
        payload,
    }
    .frame()
    .expect("addresses of one family")
}

/// TCP.
pub fn tcp(from: (&str, u16), to: (&str, u16), flags: u8) -> Vec<u8> {
    let payload = Payload::Tcp {
        source: from.1,
        destination: to.1,
        flags,
    };
    packet(from.0, to.0, payload)
}

/// UDP.
pub fn udp(from: (&str, u16), to: (&str, u16)) -> Vec<u8> {
    let payload = Payload::Udp {
        source: from.1,
        destination: to.1,
    };
    packet(from.0, to.0, payload)
}

/// SCTP.
pub fn sctp(from: (&str, u16), to: (&str, u16)) -> Vec<u8> {
    let payload = Payload::Sctp {
        source: from.1,
        destination: to.1,
    };
    packet(from.0, to.0, payload)
}

/// ICMP or ICMPv6, by the family.
pub fn icmp(source: &str, destination: &str, kind: u8, code: u8) -> Vec<u8> {
    let protocol = if source.contains(':') { 58 } else { 1 };
    packet(
        source,
        destination,
        Payload::Icmp {
            protocol,
            kind,
            code,
        },
    )
}

/// An echo message with an identifier (bytes 4 and 5 of the message).
pub fn echo(source: &str, destination: &str, kind: u8, id: u16) -> Vec<u8> {
    let mut frame = icmp(source, destination, kind, 0);
    let at = header_end(&frame) + 4;
    frame[at..at + 2].copy_from_slice(&id.to_be_bytes());
    frame
}

/// A message of ICMPv6 about multicast groups, without its hop-by-hop header.
pub fn unalerting(frame: &[u8]) -> Vec<u8> {
    let mut out = frame.to_vec();
    out[20] = 58;
    out.drain(54..62);
    with_length(out)
}

/// The frame with another TTL or hop limit.
pub fn with_hops(mut frame: Vec<u8>, hops: u8) -> Vec<u8> {
    let at = if frame[14] >> 4 == 6 { 21 } else { 22 };
    frame[at] = hops;
    frame
}

/// A request of ARP: the sender asks for the target.
pub fn arp(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 2, 0x08, 0x06]);
    // Ethernet, IPv4, lengths of their addresses, request.
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, 2]);
    frame.extend(sender);
    frame.extend([0; 6]);
    frame.extend(target);
    frame.resize(60, 0);
    frame
}

/// An ICMP error that quotes the IP packet inside another frame.
pub fn error(source: &str, destination: &str, kind: u8, code: u8, about: &[u8]) -> Vec<u8> {
    let mut frame = icmp(source, destination, kind, code);
    frame.truncate(header_end(&frame) + 8);
    frame.extend(&about[14..]);
    frame
}

/// The frame with VLAN tags (ethertype, id) pushed in front, outermost first.
pub fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    for (ethertype, id) in tags {
        out.extend(ethertype.to_be_bytes());
        out.extend(id.to_be_bytes());
    }
    out.extend(&frame[12..]);
    out
}

/// The fragment with the bytes `data` of what a packet carries, which is continued as
/// far as needed. What follows the header of IPv6, extension headers too, is carried.
pub fn piece(frame: &[u8], id: u32, data: Range<usize>, more: bool) -> Vec<u8> {
    let (at, v6) = (header_end(frame), frame[14] >> 4 == 6);
    let length = if v6 {
        usize::from(u16::from_be_bytes([frame[18], frame[19]]))
    } else {
        usize::from(u16::from_be_bytes([frame[16], frame[17]])) - 20
    };
    let mut carried = frame[at..at + length].to_vec();
    carried.resize(carried.len().max(data.end), 0xa5);
    let mut out = frame[..at].to_vec();
    let offset = (data.start / 8) as u16;
    if v6 {
        out.extend([frame[20], 0]);
        out.extend((offset << 3 | u16::from(more)).to_be_bytes());
        out.extend(id.to_be_bytes());
        out[20] = 44;
    } else {
        out[18..20].copy_from_slice(&(id as u16).to_be_bytes());
        let bits = offset | if more { 0x2000 } else { 0 };
        out[20..22].copy_from_slice(&bits.to_be_bytes());
    }
    out.extend(&carried[data]);
    with_length(out)
}

/// The frame with the length that it has in its network header.
pub fn with_length(mut frame: Vec<u8>) -> Vec<u8> {
    let (at, length) = if frame[14] >> 4 == 6 {
        (18, frame.len() - 54)
    } else {
        (16, frame.len() - 14)
    };
    frame[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
    frame
}

/// The frame with padding behind its packet.
pub fn padded(mut frame: Vec<u8>, padding: &[u8]) -> Vec<u8> {
    frame.extend(padding);
    frame
}

/// Extension headers (type, length in units of eight bytes beyond the first)
/// between the IPv6 header and what follows.
pub fn extended(frame: &[u8], headers: &[(u8, u8)]) -> Vec<u8> {
    let mut out = frame[..54].to_vec();
    let transport = frame[20];
    for (index, (_, length)) in headers.iter().enumerate() {
        let next = headers.get(index + 1).map_or(transport, |header| header.0);
        out.extend([next, *length]);
        out.extend(vec![0; 6 + usize::from(*length) * 8]);
    }
    if let Some((first, _)) = headers.first() {
        out[20] = *first;
    }
    out.extend(&frame[54..]);
    let carried = u16::from_be_bytes([frame[18], frame[19]]);
    let longer = (out.len() - frame.len()) as u16;
    out[18..20].copy_from_slice(&(carried + longer).to_be_bytes());
    out
}

/// The IPv4 header with `words` words of options (no operation).
pub fn with_options(frame: &[u8], words: u8) -> Vec<u8> {
    let mut out = frame[..34].to_vec();
    out[14] = 0x45 + words;
    out.extend(vec![1; usize::from(words) * 4]);
    out.extend(&frame[34..]);
    out
}

/// Where the IP header of an untagged frame ends.
fn header_end(frame: &[u8]) -> usize {
    if frame[14] >> 4 == 4 { 34 } else { 54 }
}
