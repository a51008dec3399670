//! Frames byte by byte, for what no ordinary program sends: VLAN tags, headers
//! that lie, DHCP before there is an address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::host::Mac;
use crate::{Family, Namespace, ping};

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of an 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// EtherType of an 802.1ad (service) tag.
pub const SERVICE_VLAN: u16 = 0x88a8;

/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;
/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// A hardware address as `ip` writes it.
#[must_use]
pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Header and payload, with tags (type, VLAN id) between them, outermost first.
#[must_use]
pub fn ethernet(to: Mac, from: Mac, tags: &[(u16, u16)], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [to, from].concat();
    for (tag, id) in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An IP packet without options and its EtherType. Both addresses are of one family.
#[must_use]
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> (u16, Vec<u8>) {
    let length = u16::try_from(payload.len()).expect("a packet of the lab fits into 64 KiB");
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut packet = vec![0x45, 0];
            packet.extend((length + 20).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            let sum = checksum(&packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            packet.extend(payload);
            (IPV4, packet)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend(length.to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            packet.extend(payload);
            (IPV6, packet)
        }
        _ => unreachable!("the lab never mixes the families of one packet"),
    }
}

/// The SYN that opens a connection, as an IP packet.
#[must_use]
pub fn tcp_syn(from: SocketAddr, to: SocketAddr) -> (u16, Vec<u8>) {
    tcp_syn_with(from, to, &[])
}

/// The same with data, which a host that does not expect it ignores (RFC 9293 §3.4).
#[must_use]
pub fn tcp_syn_with(from: SocketAddr, to: SocketAddr, data: &[u8]) -> (u16, Vec<u8>) {
    let mut header = Vec::new();
    header.extend(from.port().to_be_bytes());
    header.extend(to.port().to_be_bytes());
    header.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    // Header of 20 bytes, SYN, window, checksum, urgent pointer.
    header.extend([0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    header.extend(data);
    let sum = pseudo_checksum(from.ip(), to.ip(), TCP, &header);
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(from.ip(), to.ip(), TCP, &header)
}

/// A datagram, as an IP packet.
#[must_use]
pub fn udp(from: SocketAddr, to: SocketAddr, data: &[u8]) -> (u16, Vec<u8>) {
    let length = u16::try_from(data.len() + 8).expect("a packet of the lab fits into 64 KiB");
    let mut datagram = Vec::new();
    datagram.extend(from.port().to_be_bytes());
    datagram.extend(to.port().to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    let sum = match pseudo_checksum(from.ip(), to.ip(), UDP, &datagram) {
        // Zero would mean "no checksum" (RFC 768).
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    ip(from.ip(), to.ip(), UDP, &datagram)
}

/// An echo request (RFC 792, RFC 4443 §4.1), as an IP packet.
#[must_use]
pub fn echo_request(from: IpAddr, to: IpAddr, id: u16, data: &[u8]) -> (u16, Vec<u8>) {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (Family::V4, ICMP),
        IpAddr::V6(_) => (Family::V6, ICMPV6),
    };
    let mut message = vec![ping::request_type(family), 0, 0, 0];
    message.extend(id.to_be_bytes());
    message.extend([0, 1]);
    message.extend(data);
    let sum = match family {
        Family::V4 => checksum(&message),
        Family::V6 => pseudo_checksum(from, to, protocol, &message),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(from, to, protocol, &message)
}

/// The Internet checksum (RFC 1071).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Checksum of a TCP or UDP message with its pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1).
fn pseudo_checksum(from: IpAddr, to: IpAddr, protocol: u8, message: &[u8]) -> u16 {
    let mut bytes = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    // The fields' order and width do not change the sum, as long as they are aligned.
    let length = u16::try_from(message.len()).expect("a packet of the lab fits into 64 KiB");
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, protocol]);
    bytes.extend(message);
    checksum(&bytes)
}

/// A socket that sends and receives whole frames on one interface.
#[derive(Debug)]
pub struct FrameSocket(OwnedFd);

impl FrameSocket {
    /// Opens it on `interface` of the namespace; receives every frame from then on.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or when there is no such interface.
    pub fn open(namespace: &Namespace, interface: &str) -> io::Result<Self> {
        Self::of_protocol(namespace, interface, (libc::ETH_P_ALL as u16).to_be())
    }

    /// The same for sending only: it receives nothing.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn sender(namespace: &Namespace, interface: &str) -> io::Result<Self> {
        Self::of_protocol(namespace, interface, 0)
    }

    /// `protocol`: an `EtherType` in network byte order.
    fn of_protocol(namespace: &Namespace, interface: &str, protocol: u16) -> io::Result<Self> {
        namespace.enter(|| {
            let index = nix::net::if_::if_nametoindex(interface)?;
            // SAFETY: socket() takes no pointers; the result is checked.
            let raw = unsafe {
                libc::socket(
                    libc::AF_PACKET,
                    libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                    i32::from(protocol),
                )
            };
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor is new and belongs to nobody else.
            let socket = unsafe { OwnedFd::from_raw_fd(raw) };
            // SAFETY: sockaddr_ll is plain data; zero is a valid value of each field.
            let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol;
            address.sll_ifindex = index as i32;
            // SAFETY: the pointer and the length are those of `address`, which lives
            // until the call returns.
            let bound = unsafe {
                libc::bind(
                    socket.as_raw_fd(),
                    (&raw const address).cast(),
                    size_of::<libc::sockaddr_ll>() as u32,
                )
            };
            match bound {
                0 => Ok(Self(socket)),
                _ => Err(io::Error::last_os_error()),
            }
        })
    }

    /// Sends one frame as it is.
    ///
    /// # Errors
    /// As the socket says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        nix::unistd::write(&self.0, frame)?;
        Ok(())
    }

    /// Waits for a frame in which `wanted` finds what it looks for.
    ///
    /// # Errors
    /// `TimedOut` when none came.
    pub fn wait_for<T>(&self, wanted: impl FnMut(&[u8]) -> Option<T>) -> io::Result<T> {
        ping::await_packet(&self.0, wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_rfc_1071() {
        // The example of RFC 1071 §3: the sum is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        let (kind, packet) = ip([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 17, &[1, 2, 3]);
        assert_eq!(kind, IPV4);
        assert_eq!(checksum(&packet[..20]), 0);
        assert_eq!(packet.len(), 23);
    }

    #[test]
    fn messages_sum_to_zero_with_their_pseudo_header() {
        let (from, to) = (IpAddr::from([1; 16]), IpAddr::from([2; 16]));
        let (_, ping) = echo_request(from, to, 7, b"data");
        assert_eq!(pseudo_checksum(from, to, ICMPV6, &ping[40..]), 0);
        let (_, ping) = echo_request([1; 4].into(), [2; 4].into(), 7, b"data");
        assert_eq!(checksum(&ping[20..]), 0);
        let (_, syn) = tcp_syn_with((from, 1).into(), (to, 2).into(), b"data");
        assert_eq!(pseudo_checksum(from, to, TCP, &syn[40..]), 0);
        assert!(syn.ends_with(b"data"));
    }

    #[test]
    fn tags_stand_before_the_type() {
        let frame = ethernet(
            [1; 6],
            [2; 6],
            &[(SERVICE_VLAN, 100), (VLAN, 7)],
            IPV6,
            &[9],
        );
        let tail = [0x88, 0xa8, 0, 100, 0x81, 0, 0, 7, 0x86, 0xdd, 9];
        assert_eq!(frame[12..], tail);
    }

    #[test]
    fn macs_are_written_as_ip_writes_them() {
        assert_eq!(mac_text([0x02, 0xf3, 0, 0, 0, 10]), "02:f3:00:00:00:0a");
    }
}
