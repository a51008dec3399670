//! The frame that the generator writes into.

use std::net::{IpAddr, SocketAddr};

use sandbox::frame::{self, TCP, UDP, VLAN};

/// Hardware address.
pub type Mac = [u8; 6];

/// Where frames come from: nobody on the segment has this address.
const FROM: Mac = [0x02, 0xf3, 0, 0, 1, 0];

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first segment of a TCP connection.
    Syn,
    /// A TCP segment of a connection, without data.
    Ack,
    /// A datagram.
    Udp,
    /// A fragment of a datagram, neither the first nor the last.
    Fragment,
}

/// Headers and length of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What it carries.
    pub kind: Kind,
    /// 802.1Q tag.
    pub vlan: Option<u16>,
    /// Bytes of the whole frame; as many as the headers need, if they need more.
    pub length: usize,
}

impl Shape {
    /// Of the shortest frame that Ethernet knows, without its checksum.
    #[must_use]
    pub fn short(kind: Kind) -> Self {
        Self {
            kind,
            vlan: None,
            length: 60,
        }
    }
}

/// A frame, and where in it what stands. Offsets are bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// All of it; the checksums are right.
    pub frame: Vec<u8>,
    /// Source address.
    pub source: usize,
    /// Source port, the destination's behind it; none in later fragments.
    pub ports: Option<usize>,
    /// Identification of the datagram that a fragment is of: bytes from, and how many.
    pub identification: Option<(usize, usize)>,
    /// Header checksum of IPv4.
    pub header_checksum: Option<usize>,
    /// Checksum of TCP or UDP; not of UDP over IPv4, which may leave it zero.
    pub checksum: Option<usize>,
}

impl Template {
    /// A frame of this shape. Both addresses are of one family.
    #[must_use]
    pub fn new(shape: Shape, from: SocketAddr, to: SocketAddr, mac: Mac) -> Self {
        let tags: &[(u16, u16)] = match shape.vlan {
            Some(id) => &[(VLAN, id)],
            None => &[],
        };
        let link = 14 + 4 * tags.len();
        let v4 = from.is_ipv4();
        let header = if v4 { 20 } else { 40 };
        let room = |used: usize| shape.length.saturating_sub(link + header + used);
        let (kind, mut packet) = match shape.kind {
            Kind::Syn => frame::tcp_syn(from, to),
            Kind::Ack => acknowledgement(from, to),
            Kind::Udp => frame::udp(from, to, &vec![0; room(8)]),
            Kind::Fragment => fragment(from.ip(), to.ip(), &vec![0; room(0).max(16) & !7]),
        };
        let (ports, checksum) = match shape.kind {
            Kind::Syn | Kind::Ack => (Some(link + header), Some(link + header + 16)),
            Kind::Udp if v4 => {
                packet[header + 6..header + 8].fill(0);
                (Some(link + header), None)
            }
            Kind::Udp => (Some(link + header), Some(link + header + 6)),
            Kind::Fragment => (None, None),
        };
        let identification = (shape.kind == Kind::Fragment).then_some(match v4 {
            true => (link + 4, 2),
            false => (link + header + 4, 4),
        });
        let mut frame = frame::ethernet(mac, FROM, tags, kind, &packet);
        frame.resize(frame.len().max(shape.length.min(60)), 0);
        Self {
            frame,
            source: link + if v4 { 12 } else { 8 },
            ports,
            identification,
            header_checksum: v4.then_some(link + 10),
            checksum,
        }
    }
}

/// An ACK without data, as an IP packet.
fn acknowledgement(from: SocketAddr, to: SocketAddr) -> (u16, Vec<u8>) {
    /// Flags of TCP (RFC 9293 §3.1), as a word with the header's length.
    const ACK: u32 = 0x5010;
    const SYN: u32 = 0x5002;
    let (kind, mut packet) = frame::tcp_syn(from, to);
    let tcp = packet.len() - 20;
    packet[tcp + 12..tcp + 14].copy_from_slice(&(ACK as u16).to_be_bytes());
    // RFC 1624: the old word is taken out of the sum, the new one added.
    let old = u16::from_be_bytes([packet[tcp + 16], packet[tcp + 17]]);
    let mut sum = u32::from(!old) + (0xffff - SYN) + ACK;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[tcp + 16..tcp + 18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    (kind, packet)
}

/// A fragment at byte 1480 of a datagram of UDP, with more to come, as an IP packet.
fn fragment(from: IpAddr, to: IpAddr, data: &[u8]) -> (u16, Vec<u8>) {
    /// IPv6 extension header "Fragment" (RFC 8200 §4.5).
    const FRAGMENT: u8 = 44;
    const OFFSET: u16 = 1480 / 8;
    if from.is_ipv4() {
        let (kind, mut packet) = frame::ip(from, to, UDP, data);
        // More fragments (RFC 791 §3.1).
        packet[6..8].copy_from_slice(&(0x2000 | OFFSET).to_be_bytes());
        packet[10..12].fill(0);
        let sum = frame::checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        return (kind, packet);
    }
    let mut payload = vec![UDP, 0];
    payload.extend((OFFSET << 3 | 1).to_be_bytes());
    payload.extend([0; 4]);
    payload.extend(data);
    frame::ip(from, to, FRAGMENT, &payload)
}

/// Whether the checksums of a frame are right: of IPv4's header, and of TCP or UDP.
/// Frames without a tag only.
#[must_use]
pub fn checksums_hold(bytes: &[u8]) -> bool {
    let packet = &bytes[14..];
    let v4 = packet[0] >> 4 == 4;
    let (header, protocol, length, addresses) = if v4 {
        let length = u16::from_be_bytes([packet[2], packet[3]]) - 20;
        (20, packet[9], length, &packet[12..20])
    } else {
        let length = u16::from_be_bytes([packet[4], packet[5]]);
        (40, packet[6], length, &packet[8..40])
    };
    if v4 && frame::checksum(&packet[..20]) != 0 {
        return false;
    }
    let message = &packet[header..header + usize::from(length)];
    match protocol {
        UDP if v4 && message[6..8] == [0, 0] => true,
        TCP | UDP => {
            let mut bytes = addresses.to_vec();
            bytes.extend(length.to_be_bytes());
            bytes.extend([0, protocol]);
            bytes.extend(message);
            frame::checksum(&bytes) == 0
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(kind: Kind, v4: bool) -> Template {
        let (from, to): (IpAddr, IpAddr) = match v4 {
            true => ([192, 0, 2, 1].into(), [10, 0, 0, 1].into()),
            false => (
                "2001:db8::1".parse().unwrap(),
                "2001:db8::2".parse().unwrap(),
            ),
        };
        Template::new(
            Shape::short(kind),
            SocketAddr::new(from, 7),
            SocketAddr::new(to, 443),
            [2; 6],
        )
    }

    #[test]
    fn checksums_are_right_and_a_wrong_one_is_seen() {
        for v4 in [true, false] {
            for kind in [Kind::Syn, Kind::Ack, Kind::Udp] {
                let mut frame = template(kind, v4).frame;
                assert!(checksums_hold(&frame), "{kind:?} {v4}");
                frame[33] ^= 1;
                assert!(!checksums_hold(&frame), "{kind:?} {v4}");
            }
        }
    }

    #[test]
    fn offsets_are_those_of_the_headers() {
        let syn = template(Kind::Syn, true);
        assert_eq!(syn.frame.len(), 60);
        assert_eq!(syn.frame[syn.source..syn.source + 4], [192, 0, 2, 1]);
        let ports = syn.ports.unwrap();
        assert_eq!(syn.frame[ports..ports + 4], [0, 7, 1, 187]);
        let udp = template(Kind::Udp, false);
        assert_eq!(
            (udp.source, udp.ports, udp.checksum),
            (22, Some(54), Some(60))
        );
    }

    #[test]
    fn a_fragment_is_neither_the_first_nor_the_last() {
        let v4 = template(Kind::Fragment, true).frame;
        assert_eq!(u16::from_be_bytes([v4[20], v4[21]]), 0x20b9);
        assert_eq!(frame::checksum(&v4[14..34]), 0);
        let v6 = template(Kind::Fragment, false).frame;
        assert_eq!(
            (v6[20], u16::from_be_bytes([v6[56], v6[57]])),
            (44, 185 << 3 | 1)
        );
    }

    #[test]
    fn a_tag_moves_everything_by_four_bytes() {
        let shape = Shape {
            vlan: Some(7),
            ..Shape::short(Kind::Udp)
        };
        let (from, to) = (
            SocketAddr::from(([1, 2, 3, 4], 1)),
            SocketAddr::from(([5, 6, 7, 8], 2)),
        );
        let tagged = Template::new(shape, from, to, [2; 6]);
        assert_eq!(tagged.frame[12..16], [0x81, 0, 0, 7]);
        assert_eq!(tagged.frame[tagged.source..tagged.source + 4], [1, 2, 3, 4]);
    }
}
