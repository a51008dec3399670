//! Real frames from flows: what a `policy test` engine shows to the programs.
//!
//! Lengths and checksums are right, TCP opens a connection with a SYN, and frames
//! have Ethernet's minimum length. An ICMP error quotes no packet, so that it
//! belongs to no connection: a flow of `policy test` stands for itself.

use std::net::IpAddr;

use fw_common::wire::Direction;

/// Shortest Ethernet frame without its checksum (IEEE 802.3).
pub const MINIMUM: usize = 60;

const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Locally administered addresses: no vendor's.
const MAC_TO: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const MAC_FROM: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
/// Data of protocols that we do not know, and of UDP.
const PAYLOAD: [u8; 8] = *b"fw-ctl\0\0";

/// The Router Alert of IPv4 (RFC 2113), and a hop-by-hop header with that of IPv6 and
/// padding (RFC 2711 §2.1); its first byte is the next header.
const ROUTER_ALERT_V4: [u8; 4] = [0x94, 4, 0, 0];
const ROUTER_ALERT_V6: [u8; 7] = [0, 5, 2, 0, 0, 1, 0];
const HOP_BY_HOP: u8 = 0;

const ICMP: u8 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

/// TCP flags of a packet that opens a connection.
pub const SYN: u8 = 0x02;
/// TCP flags of a packet inside a connection.
pub const ACK: u8 = 0x10;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// VLAN id of an 802.1Q tag.
    pub vlan: Option<u16>,
    /// Sender.
    pub source: IpAddr,
    /// Receiver, of the same family.
    pub destination: IpAddr,
    /// What it carries.
    pub payload: Payload,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A TCP segment without data.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Flags, [`SYN`] to open.
        flags: u8,
    },
    /// A UDP datagram.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// An SCTP packet with an INIT chunk.
    Sctp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// An ICMP message, of whichever family the protocol number says.
    Icmp {
        /// 1 or 58.
        protocol: u8,
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// Eight bytes of another protocol.
    Other {
        /// Its number.
        protocol: u8,
    },
}

impl Payload {
    /// The payload of `protocol` as flows write it: ports or type and code, where
    /// the protocol has them.
    #[must_use]
    pub fn new(protocol: u8, ports: (u16, u16), icmp: (u8, u8)) -> Self {
        let (source, destination) = ports;
        match protocol {
            TCP => Self::Tcp {
                source,
                destination,
                flags: SYN,
            },
            UDP => Self::Udp {
                source,
                destination,
            },
            SCTP => Self::Sctp {
                source,
                destination,
            },
            ICMP | ICMPV6 => Self::Icmp {
                protocol,
                kind: icmp.0,
                code: icmp.1,
            },
            protocol => Self::Other { protocol },
        }
    }

    fn protocol(self) -> u8 {
        match self {
            Self::Tcp { .. } => TCP,
            Self::Udp { .. } => UDP,
            Self::Sctp { .. } => SCTP,
            Self::Icmp { protocol, .. } | Self::Other { protocol } => protocol,
        }
    }

    /// Neighbour discovery is only valid with 255 (RFC 4861 §6.1, §7.1, §8.1), what is
    /// about groups with 1.
    fn hop_limit(self) -> u8 {
        match self {
            Self::Icmp {
                protocol: ICMPV6,
                kind: 133..=137 | 141 | 142 | 148 | 149,
                ..
            } => 255,
            _ if self.is_about_groups() => 1,
            _ => 64,
        }
    }

    /// Memberships of multicast groups, and their routers: only valid with a Router Alert
    /// (RFC 3376 §4, RFC 3810 §5, RFC 4286 §3).
    fn is_about_groups(self) -> bool {
        matches!(
            self,
            Self::Other { protocol: IGMP }
                | Self::Icmp {
                    protocol: ICMPV6,
                    kind: 130..=132 | 143 | 151..=153,
                    ..
                }
        )
    }
}

impl Packet {
    /// Its direction on a node that has the address `local`.
    #[must_use]
    pub fn direction(&self, local: IpAddr) -> Direction {
        if self.destination == local {
            Direction::Ingress
        } else {
            Direction::Egress
        }
    }

    /// The frame, at least [`MINIMUM`] bytes; `None` if the addresses are of
    /// different families.
    #[must_use]
    pub fn frame(&self) -> Option<Vec<u8>> {
        let packet = self.ip()?;
        let mut frame = Vec::with_capacity(MINIMUM.max(packet.len() + 18));
        frame.extend(mac_to(self.destination));
        frame.extend(MAC_FROM);
        if let Some(vlan) = self.vlan {
            frame.extend(ETHERTYPE_VLAN.to_be_bytes());
            frame.extend((vlan & 0x0fff).to_be_bytes());
        }
        let ethertype = match self.source {
            IpAddr::V4(_) => ETHERTYPE_IPV4,
            IpAddr::V6(_) => ETHERTYPE_IPV6,
        };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(packet);
        frame.resize(frame.len().max(MINIMUM), 0);
        Some(frame)
    }

    /// The IP packet in it.
    fn ip(&self) -> Option<Vec<u8>> {
        let payload = self.payload_bytes();
        let length = u16::try_from(payload.len()).ok()?;
        let protocol = self.payload.protocol();
        let hops = self.payload.hop_limit();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let options: &[u8] = if self.payload.is_about_groups() {
                    &ROUTER_ALERT_V4
                } else {
                    &[]
                };
                let own = 20 + options.len() as u16;
                let mut header = vec![0x40 | (own / 4) as u8, 0];
                header.extend((own + length).to_be_bytes());
                // Identification 1, don't fragment.
                header.extend([0, 1, 0x40, 0, hops, protocol, 0, 0]);
                header.extend(source.octets());
                header.extend(destination.octets());
                header.extend(options);
                let sum = checksum(&[&header]);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                header.extend(payload);
                Some(header)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut carried = payload;
                let mut next = protocol;
                if self.payload.is_about_groups() {
                    let alert = [&[protocol][..], &ROUTER_ALERT_V6].concat();
                    carried.splice(0..0, alert);
                    next = HOP_BY_HOP;
                }
                let mut header = vec![0x60, 0, 0, 0];
                header.extend(u16::try_from(carried.len()).ok()?.to_be_bytes());
                header.extend([next, hops]);
                header.extend(source.octets());
                header.extend(destination.octets());
                header.extend(carried);
                Some(header)
            }
            _ => None,
        }
    }

    fn payload_bytes(&self) -> Vec<u8> {
        match self.payload {
            Payload::Tcp {
                source,
                destination,
                flags,
            } => {
                let mut segment = ports(source, destination);
                // Sequence 1, acknowledgement 0, header of five words, window 1024.
                segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 4, 0, 0, 0, 0, 0]);
                self.fill_checksum(segment, 16)
            }
            Payload::Udp {
                source,
                destination,
            } => {
                let mut datagram = ports(source, destination);
                datagram.extend([0, 16, 0, 0]);
                datagram.extend(PAYLOAD);
                let mut datagram = self.fill_checksum(datagram, 6);
                if datagram[6..8] == [0, 0] {
                    // 0 means "no checksum" (RFC 768).
                    datagram[6..8].fill(0xff);
                }
                datagram
            }
            Payload::Sctp {
                source,
                destination,
            } => {
                let mut packet = ports(source, destination);
                // Verification tag 0 and checksum, then INIT: 20 bytes, tag 1,
                // window 65536, one stream each way (RFC 9260 §3.3.2).
                packet.extend([0; 8]);
                packet.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
                let sum = crc32c(&packet);
                packet[8..12].copy_from_slice(&sum.to_le_bytes());
                packet
            }
            Payload::Icmp {
                protocol,
                kind,
                code,
            } => {
                let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
                message.extend(PAYLOAD);
                if protocol == ICMPV6 {
                    self.fill_checksum(message, 2)
                } else {
                    let sum = checksum(&[&message]);
                    message[2..4].copy_from_slice(&sum.to_be_bytes());
                    message
                }
            }
            Payload::Other { .. } => PAYLOAD.to_vec(),
        }
    }

    /// The Internet checksum over pseudo header and `bytes`, written at `at`.
    fn fill_checksum(&self, mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
        // RFC 8200 §8.1; the IPv4 form (RFC 9293 §3.1) sums to the same words.
        let mut pseudo = Vec::with_capacity(40);
        for address in [self.source, self.destination] {
            match address {
                IpAddr::V4(v4) => pseudo.extend(v4.octets()),
                IpAddr::V6(v6) => pseudo.extend(v6.octets()),
            }
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        pseudo.extend(length.to_be_bytes());
        pseudo.extend([0, 0, 0, self.payload.protocol()]);
        let sum = checksum(&[&pseudo, &bytes]);
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// The address that a host would send to: group addresses are mapped (RFC 1112
/// §6.4, RFC 2464 §7).
fn mac_to(destination: IpAddr) -> [u8; 6] {
    match destination {
        IpAddr::V4(v4) if v4.is_broadcast() => [0xff; 6],
        IpAddr::V4(v4) if v4.is_multicast() => {
            let [_, b, c, d] = v4.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(v6) if v6.is_multicast() => {
            let [.., a, b, c, d] = v6.octets();
            [0x33, 0x33, a, b, c, d]
        }
        _ => MAC_TO,
    }
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = source.to_be_bytes().to_vec();
    bytes.extend(destination.to_be_bytes());
    bytes
}

/// The Internet checksum (RFC 1071) over parts of even length, but for the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    loop {
        match u16::try_from(sum) {
            Ok(sum) => return !sum,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

/// CRC32c (RFC 9260 appendix A), bit by bit: frames are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(source: &str, destination: &str, payload: Payload) -> Packet {
        Packet {
            vlan: None,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            payload,
        }
    }

    #[test]
    fn checksums_agree_with_published_examples() {
        // RFC 1071 §3.
        assert_eq!(
            checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]),
            !0xddf2
        );
        // The check value of CRC-32/ISCSI.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_tcp_frame_opens_a_connection() {
        let frame = packet("10.0.0.1", "10.0.0.2", Payload::new(6, (40000, 22), (0, 0)))
            .frame()
            .unwrap();
        assert_eq!(frame.len(), MINIMUM);
        assert_eq!(frame[12..14], [0x08, 0x00]);
        assert_eq!(frame[16..18], [0, 40], "total length without the padding");
        assert_eq!(checksum(&[&frame[14..34]]), 0, "IPv4 header checksum");
        assert_eq!(frame[34..38], [0x9c, 0x40, 0, 22]);
        assert_eq!(frame[47], SYN);
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 20];
        assert_eq!(checksum(&[&pseudo, &frame[34..54]]), 0, "TCP checksum");
    }

    #[test]
    fn groups_have_their_own_ethernet_addresses() {
        let to = |destination: &str| mac_to(destination.parse().unwrap());
        assert_eq!(to("224.128.0.18"), [0x01, 0x00, 0x5e, 0, 0, 18]);
        assert_eq!(to("255.255.255.255"), [0xff; 6]);
        assert_eq!(to("ff02::1:ff00:7"), [0x33, 0x33, 0xff, 0, 0, 7]);
        assert_eq!(to("10.0.0.2"), MAC_TO);
    }

    #[test]
    fn a_tag_stands_before_the_ethertype() {
        let mut tagged = packet("10.0.0.1", "10.0.0.2", Payload::new(17, (53, 53), (0, 0)));
        tagged.vlan = Some(4094);
        let frame = tagged.frame().unwrap();
        assert_eq!(frame[12..18], [0x81, 0x00, 0x0f, 0xfe, 0x08, 0x00]);
    }

    #[test]
    fn ipv6_carries_the_payload_length_and_neighbour_discovery_255_hops() {
        let frame = packet("fe80::1", "fe80::2", Payload::new(58, (0, 0), (135, 0)))
            .frame()
            .unwrap();
        assert_eq!(frame[12..14], [0x86, 0xdd]);
        assert_eq!(frame[18..22], [0, 16, 58, 255]);
        let echo = packet("fe80::1", "fe80::2", Payload::new(58, (0, 0), (128, 0)));
        assert_eq!(echo.frame().unwrap()[21], 64);
    }

    #[test]
    fn what_is_about_groups_stays_on_its_link_and_alerts_routers() {
        let igmp = packet("10.0.0.1", "224.0.0.22", Payload::new(2, (0, 0), (0, 0)));
        let frame = igmp.frame().unwrap();
        assert_eq!(frame[14], 0x46, "six words of header");
        assert_eq!((frame[17], frame[22], frame[23]), (32, 1, 2));
        assert_eq!(frame[34..38], [0x94, 4, 0, 0]);
        assert_eq!(checksum(&[&frame[14..38]]), 0);
        let mld = packet("fe80::1", "ff02::16", Payload::new(58, (0, 0), (143, 0)));
        let frame = mld.frame().unwrap();
        assert_eq!(
            frame[18..22],
            [0, 24, 0, 1],
            "length, hop-by-hop, hop limit"
        );
        assert_eq!(frame[54..63], [58, 0, 5, 2, 0, 0, 1, 0, 143]);
    }

    #[test]
    fn an_icmp_message_has_a_checksum() {
        let frame = packet("192.0.2.1", "10.0.0.2", Payload::new(1, (0, 0), (3, 1)))
            .frame()
            .unwrap();
        assert_eq!(frame[34..36], [3, 1]);
        assert_eq!(frame[17], 36, "total length");
        assert_eq!(checksum(&[&frame[34..50]]), 0);
    }

    #[test]
    fn other_protocols_are_bare_and_families_do_not_mix() {
        let vrrp = packet("10.0.0.1", "10.0.0.2", Payload::new(112, (0, 0), (0, 0)));
        let frame = vrrp.frame().unwrap();
        assert_eq!((frame[23], frame[17]), (112, 28));
        let mixed = packet("10.0.0.1", "fe80::2", Payload::new(6, (1, 2), (0, 0)));
        assert_eq!(mixed.frame(), None);
    }
}
