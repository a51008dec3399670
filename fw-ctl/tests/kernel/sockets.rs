//! What the kernel tells of real sockets, in a network namespace of their own.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use fw_ctl::sockets::{self, Began, Sockets, State, TCP, UDP};

use crate::support::{in_sandbox, ip};

const NODE: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";
const NODE_V6: &str = "2001:db8::1";
const PEER_V6: &str = "2001:db8::2";

fn end(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn addresses() {
    ip("link set lo up");
    for address in [NODE, PEER] {
        ip(&format!("addr add {address}/32 dev lo"));
    }
    for address in [NODE_V6, PEER_V6] {
        ip(&format!("addr add {address}/128 dev lo nodad"));
    }
}

/// `(protocol, began, state)` of the connection with these ends.
fn seen(open: &Sockets, local: SocketAddr, remote: SocketAddr) -> (u8, Began, State) {
    let mut found = open
        .connections
        .iter()
        .filter(|connection| (connection.local, connection.remote) == (local, remote));
    let connection = found
        .next()
        .unwrap_or_else(|| panic!("{local} to {remote} is not among {open:?}"));
    assert_eq!(found.next(), None, "once only");
    (connection.protocol, connection.began, connection.state)
}

#[test]
fn connections_of_both_families_are_found_with_who_began_them() {
    in_sandbox(|| {
        addresses();
        // The default of Linux for `::`: it takes IPv4, too.
        let server = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 7_001)).unwrap();
        for (node, peer) in [(NODE, PEER), (NODE_V6, PEER_V6)] {
            let client = TcpStream::connect(end(node, 7_001)).unwrap();
            let (accepted, from) = server.accept().unwrap();
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            assert_eq!(client.local_addr().unwrap(), from);
            let udp = UdpSocket::bind(end(node, 0)).unwrap();
            udp.connect(end(peer, 53)).unwrap();
            let answering = UdpSocket::bind(end(peer, 53)).unwrap();
            // A second socket on the port of a server, connected to one client.
            let open = sockets::open();
            assert_eq!(open.notes, [""; 0]);
            let here = end(node, 7_001);
            assert_eq!(
                seen(&open, here, from),
                (TCP, Began::Peer, State::Established)
            );
            assert_eq!(
                seen(&open, from, here),
                (TCP, Began::Node, State::Established)
            );
            let asking = udp.local_addr().unwrap();
            assert_eq!(
                seen(&open, asking, end(peer, 53)),
                (UDP, Began::Node, State::Established)
            );
            let bound = answering.local_addr().unwrap();
            let connected = |socket: &sockets::Connection| socket.local == bound;
            assert!(
                !open.connections.iter().any(connected),
                "it is not connected"
            );
            // Half closed: the server may go on sending.
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let open = sockets::open();
            assert_eq!(
                seen(&open, here, from),
                (TCP, Began::Peer, State::Established)
            );
            drop((client, accepted));
        }
        // Nobody listens any more, but it is the client's port that the kernel has chosen.
        let client = TcpStream::connect(end(NODE, 7_001)).unwrap();
        let (accepted, from) = server.accept().unwrap();
        drop(server);
        let open = sockets::open();
        assert_eq!(
            seen(&open, end(NODE, 7_001), from_v4(from)),
            (TCP, Began::Peer, State::Established)
        );
        drop((client, accepted));
    });
}

fn from_v4(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

/// More than one datagram of the kernel's holds: it cuts dumps at 32 KiB.
#[test]
fn long_answers_are_read_to_their_end() {
    in_sandbox(|| {
        addresses();
        let sockets: Vec<_> = (1..=1_000)
            .map(|port| {
                let socket = UdpSocket::bind(end(NODE, 0)).unwrap();
                socket.connect(end(PEER, port)).unwrap();
                socket
            })
            .collect();
        let open = sockets::open();
        assert_eq!(open.notes, [""; 0]);
        for (port, socket) in (1..).zip(&sockets) {
            seen(&open, socket.local_addr().unwrap(), end(PEER, port));
        }
        assert_eq!(open.connections.len(), 1_000);
    });
}
