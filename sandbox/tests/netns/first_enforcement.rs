//! The first enforcement cuts nothing that may go on: connections that are older than the
//! filter, in both directions, over both families, also those whose ports look as if the
//! other side had begun them, and whichever side speaks next.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use sandbox::probe::{self, Outcome};
use sandbox::{Family, Host};

use crate::fixture::Fixture;
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    connections_outlive_a_daemon_that_starts_in_enforce_mode,
    connections_outlive_the_switch_from_audit_to_enforce_mode,
);

/// TCP connections of each direction and family: 24 in all.
const EACH: u16 = 6;
/// Where the servers of the test listen: above all ports of the clients that are given.
const PORT: u16 = 9_001;
const PATIENCE: Duration = Duration::from_secs(5);

/// Both directions are default deny, so that every answer has to be remembered.
const BOTH_WAYS: &str = r#"
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "9001", protocol: TCP}
      - {port: "9002", protocol: UDP}
  egress:
  - toPorts:
    - ports:
      - {port: "9001", protocol: TCP}
      - {port: "9002", protocol: UDP}
"#;

/// A TCP connection, both ends.
struct Pair {
    name: String,
    client: TcpStream,
    server: TcpStream,
}

/// Connections from `client` to a server on `server`, which stops listening as soon as
/// `forget` says so. Every other one comes from a port that is given to it, below the
/// server's: by its ports alone the server could be the client.
fn connect(client: &Host, server: &Host, family: Family, pairs: &mut Vec<Pair>) -> TcpListener {
    let address = server.socket(family, PORT);
    let listener = server
        .namespace
        .enter(|| TcpListener::bind(address))
        .unwrap();
    for number in 0..EACH {
        let given = (number % 2 == 1).then_some(900 + number);
        let from = &client.namespace;
        let stream = probe::connect(PATIENCE, from, given, address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        for end in [&stream, &accepted] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_nodelay(true).unwrap();
        }
        pairs.push(Pair {
            name: format!("{} -> {} {family} {number}", client.name, server.name),
            client: stream,
            server: accepted,
        });
    }
    listener
}

impl Pair {
    /// The server speaks first: only who remembers the connection lets that pass.
    fn talk(&self, when: &str) {
        for (name, mut from, mut to) in [
            ("server", &self.server, &self.client),
            ("client", &self.client, &self.server),
        ] {
            from.write_all(when.as_bytes()).unwrap();
            let mut heard = vec![0; when.len()];
            to.read_exact(&mut heard)
                .unwrap_or_else(|error| panic!("{}: the {name} {when}: {error}", self.name));
            assert_eq!(heard, when.as_bytes(), "{}", self.name);
        }
    }
}

/// Two connected UDP sockets: the first is a client, the second the socket of a server
/// that has connected it to the client.
fn datagrams(client: &Host, server: &Host, family: Family) -> [UdpSocket; 2] {
    let bind = |host: &Host, port| {
        let address = SocketAddr::new(host.address(family), port);
        let socket = host.namespace.enter(|| UdpSocket::bind(address)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let ends = [bind(client, 0), bind(server, 9_002)];
    ends[0].connect(ends[1].local_addr().unwrap()).unwrap();
    ends[1].connect(ends[0].local_addr().unwrap()).unwrap();
    ends
}

fn everything_moves(pairs: &[Pair], udp: &[[UdpSocket; 2]], when: &str) {
    for pair in pairs {
        pair.talk(when);
    }
    for [client, server] in udp {
        for (from, to) in [(server, client), (client, server)] {
            from.send(when.as_bytes()).unwrap();
            let mut heard = [0; 100];
            let length = to
                .recv(&mut heard)
                .unwrap_or_else(|error| panic!("{from:?} to {to:?} {when}: {error}"));
            assert_eq!(&heard[..length], when.as_bytes());
        }
    }
}

/// Opens all connections, has `enforce` bring the node under enforcement, and looks
/// whether they live.
fn outlive(xdp: &'static str, mode: &'static str, enforce: fn(&mut Fixture)) {
    let Some(mut fixture) = Fixture::prepare(xdp, mode, &[("both", BOTH_WAYS)]) else {
        return;
    };
    let (node, stranger) = (fixture.lab.node.clone(), fixture.lab.stranger.clone());
    let (mut pairs, mut udp, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
    for family in Family::BOTH {
        listeners.push(connect(&node, &stranger, family, &mut pairs));
        listeners.push(connect(&stranger, &node, family, &mut pairs));
        udp.push(datagrams(&node, &stranger, family));
        udp.push(datagrams(&stranger, &node, family));
    }
    assert_eq!(pairs.len(), 24);
    everything_moves(&pairs, &udp, "before");
    enforce(&mut fixture);
    let status = fixture.fw_ctl.status().unwrap();
    assert_eq!(status.mode, "enforce", "{status:?}");
    everything_moves(&pairs, &udp, "after");
    // New ones are judged, and a reload changes nothing for the old ones.
    for (from, to) in [(&node, &stranger), (&stranger, &node)] {
        let denied = probe::tcp(&from.namespace, None, to.socket(Family::V4, 80));
        assert_eq!(denied, Outcome::Silence, "{} -> {}", from.name, to.name);
    }
    let reloaded = fixture.fw_ctl.ask(&["reload"]).unwrap();
    assert_eq!(reloaded.code, 0, "{}", reloaded.stderr);
    everything_moves(&pairs, &udp, "after a reload");
}

fn connections_outlive_a_daemon_that_starts_in_enforce_mode(xdp: &'static str) {
    outlive(xdp, "enforce", Fixture::restart_daemon);
}

fn connections_outlive_the_switch_from_audit_to_enforce_mode(xdp: &'static str) {
    outlive(xdp, "audit", |fixture| {
        fixture.restart_daemon();
        let answer = fixture.fw_ctl.ask(&["mode", "enforce"]).unwrap();
        assert_eq!(answer.code, 0, "{}", answer.stderr);
    });
}
