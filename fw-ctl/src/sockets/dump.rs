//! The conversation with the kernel: one dump for each family and protocol.
//!
//! Nothing here fails: on a kernel that cannot tell (`CONFIG_INET_DIAG` is off, the module
//! `udp_diag` is not to be had) the answer is shorter, and a note says so.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::wire::{self, Message, Row};
use super::{Connection, Ephemeral, Listeners, Sockets, TCP, UDP};
use crate::why::why;

/// What is asked for: family, protocol, its name, and the states of what listens.
const DUMPS: [(i32, u8, &str, u8); 4] = [
    (libc::AF_INET, TCP, "TCP over IPv4", wire::LISTEN),
    (libc::AF_INET, UDP, "UDP over IPv4", wire::CLOSE),
    (libc::AF_INET6, TCP, "TCP over IPv6", wire::LISTEN),
    (libc::AF_INET6, UDP, "UDP over IPv6", wire::CLOSE),
];

/// The kernel puts at most 32 KiB into a datagram of a dump (`netlink_dump`).
const ROOM: usize = 64 * 1024;
/// A kernel that says nothing for so long has lost the end of the dump.
const PATIENCE_SECONDS: i64 = 5;

/// Everything that is open in the network namespace of the calling thread.
#[must_use]
pub fn open() -> Sockets {
    let mut notes = Vec::new();
    let mut rows = Vec::new();
    for (family, protocol, name, listening) in DUMPS {
        let states: Vec<_> = wire::CONNECTED.into_iter().chain([listening]).collect();
        let mut take = |row| rows.push((protocol, listening, row));
        if let Err(error) = dump(family as u8, protocol, &states, &mut take) {
            notes.push(note("open connections", name, &error));
        }
    }
    Sockets {
        connections: connections(&rows, &Ephemeral::here()),
        notes,
    }
}

/// Every TCP socket that listens in the network namespace of the calling thread.
///
/// # Errors
///
/// If the kernel does not tell them all.
pub fn servers() -> io::Result<Vec<Row>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        dump(family as u8, TCP, &[wire::LISTEN], &mut |row| {
            found.push(row);
        })?;
    }
    Ok(found)
}

/// Every socket that peers can open a connection to, with its protocol: of TCP those that
/// listen, of UDP those that are bound and connected to nobody. Beside them what could not
/// be learnt, and why, a line each.
///
/// Of the network namespace of the calling thread.
#[must_use]
pub fn listening() -> (Vec<(u8, Row)>, Vec<String>) {
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (family, protocol, name, state) in DUMPS {
        let mut take = |row| rows.push((protocol, row));
        if let Err(error) = dump(family as u8, protocol, &[state], &mut take) {
            notes.push(note("listening sockets", name, &error));
        }
    }
    (rows, notes)
}

fn note(what: &str, name: &str, error: &io::Error) -> String {
    let reason = match error.raw_os_error() {
        Some(libc::ENOENT) => "it has no module for that".to_owned(),
        _ => why(error),
    };
    format!("{what} of {name} are not all known: the kernel does not tell them ({reason})")
}

/// A socket that hears of nobody but the kernel.
fn kernel() -> io::Result<OwnedFd> {
    let kernel = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&kernel, ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
    connect(kernel.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(kernel)
}

/// Hands every socket of a family and protocol that is in one of the states to `take`,
/// also of a dump that then fails.
///
/// On a socket of its own: what is left of a dump that failed is not taken for the next.
fn dump(family: u8, protocol: u8, states: &[u8], take: &mut impl FnMut(Row)) -> io::Result<()> {
    let kernel = kernel()?;
    let request = wire::request(family, protocol, states);
    send(kernel.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut room = vec![0; ROOM];
    loop {
        // With this flag the kernel tells how long a datagram was that did not fit.
        let length = match recv(kernel.as_raw_fd(), &mut room, MsgFlags::MSG_TRUNC) {
            Err(Errno::EINTR) => continue,
            received => received?,
        };
        let cut = || io::Error::other("its answer was cut short");
        for message in wire::messages(room.get(..length).ok_or_else(cut)?) {
            match message {
                Message::Socket(row) => take(row),
                Message::Done(0) => return Ok(()),
                Message::Done(error) | Message::Error(error) => {
                    return Err(io::Error::from_raw_os_error(error.wrapping_neg()));
                }
                Message::Other => {}
            }
        }
    }
}

/// The connections among sockets, each with the protocol and with the state in which its
/// servers are.
fn connections(rows: &[(u8, u8, Row)], ephemeral: &Ephemeral) -> Vec<Connection> {
    let mut listeners = Listeners::default();
    for (protocol, listening, row) in rows {
        if row.state == *listening {
            listeners.add(*protocol, row);
        }
    }
    let connection = |(protocol, _, row): &(u8, u8, Row)| {
        Some(Connection {
            protocol: *protocol,
            local: row.local,
            remote: row.remote,
            state: wire::state(row.state)?,
            began: listeners.began(ephemeral, *protocol, row.local, row.remote),
        })
    };
    rows.iter().filter_map(connection).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Began, State};
    use super::*;

    fn row(state: u8, local: &str, remote: &str) -> Row {
        Row {
            family: 0,
            state,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            v6_only: false,
            owner: 0,
            inode: 0,
            group: None,
        }
    }

    #[test]
    fn servers_are_told_from_connections_and_say_who_began_them() {
        let nobody = "0.0.0.0:0";
        let rows = [
            (TCP, wire::LISTEN, row(wire::LISTEN, "0.0.0.0:22", nobody)),
            (
                TCP,
                wire::LISTEN,
                row(wire::ESTABLISHED, "10.0.0.10:22", "10.0.0.9:50512"),
            ),
            (
                TCP,
                wire::LISTEN,
                row(wire::ESTABLISHED, "10.0.0.10:40000", "10.0.0.9:22"),
            ),
            (UDP, wire::CLOSE, row(wire::CLOSE, "0.0.0.0:53", nobody)),
            (
                UDP,
                wire::CLOSE,
                row(wire::ESTABLISHED, "10.0.0.10:53", "10.0.0.9:40000"),
            ),
        ];
        let found = connections(&rows, &Ephemeral::default());
        let found: Vec<_> = found
            .iter()
            .map(|c| (c.protocol, c.local.port(), c.began))
            .collect();
        assert_eq!(
            found,
            [
                (TCP, 22, Began::Peer),
                (TCP, 40_000, Began::Node),
                (UDP, 53, Began::Peer)
            ]
        );
        assert_eq!(connections(&rows[3..4], &Ephemeral::default()), []);
    }

    #[test]
    fn states_of_half_closed_connections_are_alive() {
        let states = |wanted| {
            let is_wanted = move |number: &u8| wire::state(*number) == Some(wanted);
            (0..=12).filter(is_wanted).collect::<Vec<_>>()
        };
        // net/tcp_states.h: FIN_WAIT1 and FIN_WAIT2 still receive, CLOSE_WAIT still sends.
        assert_eq!(states(State::Established), [1, 4, 5, 8]);
        assert_eq!(states(State::Opening), [2, 3]);
        assert_eq!(states(State::Closing), [9, 11]);
    }

    #[test]
    fn a_missing_module_is_said_in_words() {
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        let missing = note("open connections", "UDP over IPv4", &missing);
        assert_eq!(
            missing,
            "open connections of UDP over IPv4 are not all known: the kernel does not tell them \
             (it has no module for that)"
        );
    }

    /// A protocol that there is no module for is refused as a missing module is.
    #[test]
    fn what_the_kernel_refuses_is_an_error() {
        let dump = |protocol| dump(libc::AF_INET as u8, protocol, &[wire::LISTEN], &mut |_| ());
        let refused = dump(99).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOENT));
        dump(TCP).unwrap();
    }
}
