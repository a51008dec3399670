//! Requests and answers of `NETLINK_SOCK_DIAG`, as bytes (`linux/netlink.h`,
//! `linux/sock_diag.h`, `linux/inet_diag.h`).
//!
//! Bytes are read by place, and never beyond what a message says it has: a kernel may
//! append what we do not know, and what is cut short is no socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::State;

/// Numbers of states in the kernel (`net/tcp_states.h`).
pub const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const SYN_RECV: u8 = 3;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;
/// An unconnected UDP socket.
pub const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
/// A server.
pub const LISTEN: u8 = 10;
const CLOSING: u8 = 11;

/// The states of connections. Not `TIME_WAIT`: both sides are done, and nobody loses
/// anything if a last segment is lost.
pub const CONNECTED: [u8; 8] = [
    ESTABLISHED,
    SYN_SENT,
    SYN_RECV,
    FIN_WAIT1,
    FIN_WAIT2,
    CLOSE_WAIT,
    LAST_ACK,
    CLOSING,
];

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const HEADER: usize = 16;
/// `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;
/// Where the owner stands in it, and behind it the number of the socket.
const OWNER: usize = 64;
const INODE: usize = 68;
/// Attribute: whether a socket of IPv6 takes no IPv4.
const SKV6ONLY: u16 = 11;
/// Attribute: the control group in which a socket was made, since Linux 5.8.
const CGROUP_ID: u16 = 21;

/// One socket, as the kernel describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// `AF_INET` or `AF_INET6`: that of the socket, not of its addresses.
    pub family: u8,
    /// One of the states above, or another.
    pub state: u8,
    /// The node's end; a mapped IPv4 address as IPv4.
    pub local: SocketAddr,
    /// The peer's end; port 0 of an unconnected socket.
    pub remote: SocketAddr,
    /// It takes no IPv4.
    pub v6_only: bool,
    /// The number of the user that it belongs to.
    pub owner: u32,
    /// Its number, which `/proc/PID/fd` shows of those who have it open; 0 where nobody has.
    pub inode: u32,
    /// The kernel's number of the control group in which it was made, where that is told.
    pub group: Option<u64>,
}

/// A message of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A socket.
    Socket(Row),
    /// The end; of a dump that failed, why.
    Done(i32),
    /// It will not answer, and why.
    Error(i32),
    /// Something else, or too short to be what it says.
    Other,
}

/// The request for all sockets of a family and protocol in some states.
pub fn request(family: u8, protocol: u8, states: &[u8]) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let states = states.iter().fold(0_u32, |bits, state| bits | 1 << state);
    bytes[..4].copy_from_slice(&((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[HEADER] = family;
    bytes[HEADER + 1] = protocol;
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&states.to_ne_bytes());
    bytes
}

/// The messages of a datagram.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message> + '_ {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let kind = u16_at(bytes, 4)?;
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(message(kind, payload))
    })
}

fn message(kind: u16, payload: &[u8]) -> Message {
    let number = || u32_at(payload, 0).map(u32::cast_signed);
    match kind {
        SOCK_DIAG_BY_FAMILY => row(payload).map_or(Message::Other, Message::Socket),
        kind if kind == libc::NLMSG_DONE as u16 => Message::Done(number().unwrap_or(0)),
        // 0 would be an acknowledgement, which nobody has asked for.
        kind if kind == libc::NLMSG_ERROR as u16 => Message::Error(number().unwrap_or(0)),
        _ => Message::Other,
    }
}

fn row(payload: &[u8]) -> Option<Row> {
    let message = payload.get(..MESSAGE)?;
    let family = message[0];
    let port = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let address = |at: usize| -> Option<IpAddr> {
        let bytes: [u8; 16] = message[at..at + 16].try_into().ok()?;
        match i32::from(family) {
            libc::AF_INET => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
            libc::AF_INET6 => Some(Ipv6Addr::from(bytes).to_canonical()),
            _ => None,
        }
    };
    let (mut v6_only, mut group) = (false, None);
    for (kind, value) in attributes(&payload[MESSAGE..]) {
        match kind {
            SKV6ONLY => v6_only = value.first().is_some_and(|value| *value != 0),
            CGROUP_ID => group = value.try_into().ok().map(u64::from_ne_bytes),
            _ => {}
        }
    }
    Some(Row {
        family,
        state: message[1],
        local: SocketAddr::new(address(8)?, port(4)),
        remote: SocketAddr::new(address(24)?, port(6)),
        v6_only,
        owner: u32_at(message, OWNER)?,
        inode: u32_at(message, INODE)?,
        group,
    })
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)?;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// How far a connection in this state of the kernel's is; `None`: it is none.
///
/// Who has sent the last byte may still get some: half-closed connections are alive.
pub fn state(number: u8) -> Option<State> {
    match number {
        SYN_SENT | SYN_RECV => Some(State::Opening),
        ESTABLISHED | FIN_WAIT1 | FIN_WAIT2 | CLOSE_WAIT => Some(State::Established),
        LAST_ACK | CLOSING => Some(State::Closing),
        _ => None,
    }
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(all(test, target_endian = "little"))]
#[path = "wire_tests.rs"]
mod tests;
