//! Whether a frame is the node's business, read without a line of ours: what the kernel
//! would deliver, and what a built-in lets in by its description.
//!
//! It errs to one side. A frame that the kernel would throw away for another reason
//! (checksums, the link address, a header that contradicts itself) counts as delivered:
//! a firewall that denies everything has no reason to pass it either.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fw_ctl::netlink::LocalAddresses;

/// What becomes of a frame where everything to the node is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Business {
    /// Not for the node: it passes.
    Others,
    /// A built-in lets it in: its name.
    Exempt(&'static str),
    /// For the node, and for nobody's rule.
    Nodes,
}

/// One packet that comes in fragments: addresses, identification, protocol.
type Datagram = (IpAddr, IpAddr, u32, u8);

/// Reads frames in the order in which they come.
pub struct Oracle {
    local: LocalAddresses,
    /// Whether there are built-ins.
    builtins: bool,
    /// Of which the first fragment was exempt.
    exempt: BTreeSet<(Datagram, &'static str)>,
}

impl Oracle {
    pub fn new(local: LocalAddresses, builtins: bool) -> Self {
        Self {
            local,
            builtins,
            exempt: BTreeSet::new(),
        }
    }

    /// Forgets the fragments.
    pub fn forget(&mut self) {
        self.exempt.clear();
    }

    /// What becomes of a frame that comes in.
    pub fn judge(&mut self, frame: &[u8]) -> Business {
        let mut at = 12;
        while let Some([0x81, 0x00] | [0x88, 0xa8]) = frame.get(at..at + 2) {
            at += 4;
        }
        let Some(packet) = frame.get(at + 2..) else {
            return Business::Others;
        };
        let read = match &frame[at..at + 2] {
            [0x08, 0x00] => v4(packet),
            [0x86, 0xdd] => v6(packet),
            _ => None,
        };
        match read {
            Some(read) if self.delivers(read.destination) => self.exemption(&read),
            _ => Business::Others,
        }
    }

    /// Addresses of the node, and those of the loopback interface, to which a switch of
    /// the kernel (`route_localnet`) lets packets from outside.
    fn delivers(&self, to: IpAddr) -> bool {
        to.is_loopback() || self.local.contains(&to)
    }

    fn exemption(&mut self, read: &Read<'_>) -> Business {
        // In IPv6 the identification alone names the packet (RFC 8200 §4.5).
        let protocol = if read.source.is_ipv4() {
            read.protocol
        } else {
            0
        };
        let datagram = (read.source, read.destination, read.id, protocol);
        let name = if read.later {
            let mut first = self.exempt.iter();
            first.find(|(of, _)| *of == datagram).map(|first| first.1)
        } else {
            builtin(read).filter(|_| self.builtins)
        };
        match name {
            Some(name) => {
                self.exempt.insert((datagram, name));
                Business::Exempt(name)
            }
            None => Business::Nodes,
        }
    }
}

/// The built-in that lets it in, by its description (RFC 2131, 8415, 1191, 8201, 3376, and
/// what RFC 4890 §4.4.1 lists).
fn builtin(read: &Read<'_>) -> Option<&'static str> {
    let pair = |at| {
        Some(u16::from_be_bytes([
            *read.rest.get(at)?,
            *read.rest.get(at + 1)?,
        ]))
    };
    let message = || Some((*read.rest.first()?, *read.rest.get(1)?));
    let to_this_link = read.options && read.hop_limit == 1;
    match (read.source, read.protocol) {
        (IpAddr::V4(_), 17) if (pair(0)?, pair(2)?) == (67, 68) => Some("dhcpv4-client"),
        (IpAddr::V6(_), 17) if (pair(0)?, pair(2)?) == (547, 546) => Some("dhcpv6-client"),
        (IpAddr::V4(_), 1) if message()? == (3, 4) => Some("fragmentation-needed"),
        (IpAddr::V4(_), 2) if to_this_link => Some("igmp"),
        (IpAddr::V6(source), 58) => {
            let of_the_link = source.is_unicast_link_local();
            let nobodys = source.is_unspecified();
            match message()? {
                (2, _) => Some("packet-too-big"),
                (kind, 0) if read.hop_limit == 255 && !read.fragmented => match kind {
                    133 | 148 => Some("neighbor-discovery"),
                    134 | 149 if of_the_link => Some("neighbor-discovery"),
                    135 | 136 | 141 | 142 if !nobodys => Some("neighbor-discovery"),
                    _ => None,
                },
                (130 | 151..=153, _) if to_this_link && of_the_link => Some("mld"),
                (131 | 132 | 143, _) if to_this_link && (of_the_link || nobodys) => Some("mld"),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A packet, as far as it matters here.
struct Read<'a> {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    protocol: u8,
    /// Options in the header of IPv4, or a hop-by-hop header behind that of IPv6.
    options: bool,
    id: u32,
    /// One of several fragments, or with a header that says so.
    fragmented: bool,
    /// A fragment without the transport header.
    later: bool,
    /// From the transport header on.
    rest: &'a [u8],
}

fn v4(packet: &[u8]) -> Option<Read<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let address = |at: usize| {
        let bytes: [u8; 4] = header[at..at + 4].try_into().expect("four bytes");
        IpAddr::V4(Ipv4Addr::from(bytes))
    };
    Some(Read {
        source: address(12),
        destination: address(16),
        hop_limit: header[8],
        protocol: header[9],
        options: header[0] & 15 > 5,
        id: u32::from(u16::from_be_bytes([header[4], header[5]])),
        fragmented: header[6] & 0x3f != 0 || header[7] != 0,
        later: header[6] & 0x1f != 0 || header[7] != 0,
        rest: packet
            .get(usize::from(header[0] & 15) * 4..)
            .unwrap_or_default(),
    })
}

fn v6(packet: &[u8]) -> Option<Read<'_>> {
    let header: &[u8; 40] = packet.first_chunk()?;
    let address = |at: usize| {
        let bytes: [u8; 16] = header[at..at + 16].try_into().expect("sixteen bytes");
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    let mut read = Read {
        source: address(8),
        destination: address(24),
        hop_limit: header[7],
        protocol: header[6],
        options: header[6] == 0,
        id: 0,
        fragmented: false,
        later: false,
        rest: &packet[40..],
    };
    while let 0 | 43 | 44 | 60 = read.protocol {
        let Some((extension, _)) = read.rest.split_first_chunk::<8>() else {
            break;
        };
        let fragment = read.protocol == 44;
        let length = if fragment {
            8
        } else {
            8 * (1 + usize::from(extension[1]))
        };
        if fragment {
            read.id = u32::from_be_bytes([extension[4], extension[5], extension[6], extension[7]]);
            read.fragmented = true;
            read.later = extension[2] != 0 || extension[3] & 0xf8 != 0;
        }
        read.protocol = extension[0];
        read.rest = read.rest.get(length..).unwrap_or_default();
        if read.later {
            break;
        }
    }
    Some(read)
}
