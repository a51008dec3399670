//! Keys and peers of a WireGuard device: the one kind of tunnel that `ip` cannot finish.
//!
//! Generic netlink by hand (the kernel's `uapi/linux/genetlink.h` and `wireguard.h`), so
//! that no further program is needed.

use std::io;
use std::net::Ipv4Addr;

use sandbox::{Error, Namespace, Result};
use socket2::{Domain, Protocol, Socket, Type};

/// First of the ports that other nodes may send to, by the policies for RKE2.
const PORT: u16 = 51_820;

/// Private keys of the two ends: of the node and of its peer. Anybody may know them.
const PRIVATE: [[u8; 32]; 2] = [[1; 32], [2; 32]];
/// Their public keys (X25519, RFC 7748).
const PUBLIC: [&str; 2] = [
    "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209",
    "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59",
];

const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

const SET_DEVICE: u8 = 1;
const DEVICE_NAME: u16 = 2;
const DEVICE_PRIVATE_KEY: u16 = 3;
const DEVICE_LISTEN_PORT: u16 = 6;
const DEVICE_PEERS: u16 = 8;
const PEER_PUBLIC_KEY: u16 = 1;
const PEER_ENDPOINT: u16 = 4;
const PEER_ALLOWED_IPS: u16 = 9;
const ALLOWED_FAMILY: u16 = 1;
const ALLOWED_ADDRESS: u16 = 2;
const ALLOWED_MASK: u16 = 3;

const NESTED: u16 = 1 << 15;
/// Lengths of `struct nlmsghdr` and `struct genlmsghdr`.
const HEADERS: usize = 16 + 4;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST: u16 = 1 | 4;
/// `NLMSG_ERROR`, which also says that there was none.
const ERROR: u16 = 2;

/// Gives the device of tunnel `number` its key, its port and its only peer, whose end is
/// at `there`; every address may be behind it.
///
/// # Errors
/// If the kernel refuses.
pub fn configure(
    namespace: &Namespace,
    device: &str,
    number: u8,
    at_peer: bool,
    there: Ipv4Addr,
) -> Result<()> {
    let (own, other) = (usize::from(at_peer), usize::from(!at_peer));
    let port = PORT + u16::from(number);
    let allowed = [
        attribute(ALLOWED_FAMILY, &(libc::AF_INET as u16).to_ne_bytes()),
        attribute(ALLOWED_ADDRESS, &[0; 4]),
        attribute(ALLOWED_MASK, &[0]),
    ];
    let peer = [
        attribute(PEER_PUBLIC_KEY, &key(PUBLIC[other])),
        attribute(PEER_ENDPOINT, &socket_address(there, port)),
        nested(PEER_ALLOWED_IPS, &[nested(0, &allowed)]),
    ];
    let name = [device.as_bytes(), &[0]].concat();
    let attributes = [
        attribute(DEVICE_NAME, &name),
        attribute(DEVICE_PRIVATE_KEY, &PRIVATE[own]),
        attribute(DEVICE_LISTEN_PORT, &port.to_ne_bytes()),
        nested(DEVICE_PEERS, &[nested(0, &peer)]),
    ];
    namespace
        .enter(|| set_device(&attributes.concat()))
        .map_err(Error::io(format!(
            "configure the WireGuard device {device}"
        )))
}

fn set_device(attributes: &[u8]) -> io::Result<()> {
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(libc::NETLINK_GENERIC)),
    )?;
    let name = attribute(FAMILY_NAME, b"wireguard\0");
    let reply = request(&socket, CONTROLLER, GET_FAMILY, &name)?;
    let family = find(&reply, FAMILY_ID)
        .and_then(|value| value.try_into().ok())
        .map(u16::from_ne_bytes)
        .ok_or_else(|| io::Error::other("the kernel does not tell the family of wireguard"))?;
    request(&socket, family, SET_DEVICE, attributes).map(drop)
}

/// Sends a request and reads until the kernel has acknowledged it; returns the attributes
/// of what it answered, if it did.
fn request(socket: &Socket, family: u16, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let length = u32::try_from(HEADERS + attributes.len()).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(family.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend(attributes);
    socket.send(&message)?;
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 8192];
        let mut socket = socket;
        let length = socket.read(&mut buffer)?;
        let received = &buffer[..length];
        let kind = received.get(4..6).and_then(|kind| kind.try_into().ok());
        if kind.map(u16::from_ne_bytes) != Some(ERROR) {
            answer = received.get(HEADERS..).unwrap_or_default().to_vec();
            continue;
        }
        let code = received.get(16..20).and_then(|code| code.try_into().ok());
        return match code.map(i32::from_ne_bytes) {
            Some(0) => Ok(answer),
            code => Err(io::Error::from_raw_os_error(
                -code.unwrap_or(-libc::EBADMSG),
            )),
        };
    }
}

/// Type, length and value, filled up to a multiple of four.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("what is set here is short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &attributes.concat())
}

/// The value of the first attribute of a kind.
fn find(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    while let [l0, l1, k0, k1, ..] = *attributes {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        if u16::from_ne_bytes([k0, k1]) == kind {
            return attributes.get(4..length);
        }
        // A length below that of its own header would never end.
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

/// `struct sockaddr_in`.
fn socket_address(address: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
    bytes.extend(port.to_be_bytes());
    bytes.extend(address.octets());
    bytes.extend([0; 8]);
    bytes
}

/// A key in hex.
fn key(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("it is in hex"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_found_again() {
        let bytes = [attribute(7, b"abcde"), attribute(3, &[9, 0])].concat();
        assert_eq!(
            &bytes[..12],
            [9, 0, 7, 0, b'a', b'b', b'c', b'd', b'e', 0, 0, 0]
        );
        assert_eq!(find(&bytes, 7), Some(&b"abcde"[..]));
        assert_eq!(find(&bytes, 3), Some(&[9, 0][..]));
        assert_eq!(find(&bytes, 4), None);
        assert_eq!(
            find(&[0, 0, 1, 0, 0], 5),
            None,
            "a length that is too small"
        );
    }

    #[test]
    fn keys_are_read_from_hex() {
        assert_eq!(key("00ff10"), [0, 255, 16]);
        assert!(PUBLIC.iter().all(|public| key(public).len() == 32));
    }
}
