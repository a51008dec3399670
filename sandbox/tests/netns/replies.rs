//! Answers pass although policy would deny them if they came by themselves.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sandbox::ping::ping;
use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Family, tcp, udp};

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_NOTHING, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    the_nodes_own_connections_are_answered_under_ingress_default_deny,
    admitted_connections_are_answered_under_egress_default_deny,
    what_only_looks_like_an_answer_is_denied,
    a_new_deny_cuts_connections_whose_server_goes_on_sending,
);

fn the_nodes_own_connections_are_answered_under_ingress_default_deny(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("nothing", INGRESS_NOTHING)]) else {
        return;
    };
    let (lab, node) = (&fixture.lab, &fixture.lab.node.namespace);
    let stranger = &lab.stranger;
    for family in Family::BOTH {
        let case = format!("{family} {xdp}");
        let tcp = probe::tcp(node, None, stranger.socket(family, 80));
        assert_eq!(tcp, Outcome::Answered, "{case}");
        let udp = probe::udp(node, None, stranger.socket(family, 53));
        assert_eq!(udp, Outcome::Answered, "{case}");
        let large = probe::udp_of_size(node, None, stranger.socket(family, 53), 9_000);
        assert_eq!(large, Outcome::Answered, "large {case}");
        let echo = ping(node, stranger.address(family), 3, 56);
        assert_eq!(echo, Outcome::Answered, "{case}");
        let echo = ping(node, stranger.address(family), 4, 9_000);
        assert_eq!(echo, Outcome::Answered, "large {case}");
        let mut bulk = Connection::open(node, None, stranger.socket(family, 80)).unwrap();
        bulk.bulk(16 << 20)
            .unwrap_or_else(|error| panic!("bulk {case}: {error}"));
        // A closed port answers with RST, which is an answer, too.
        let refused = probe::tcp(node, None, stranger.socket(family, 9));
        assert_eq!(refused, Outcome::Refused, "{case}");
        // An ICMP error about a datagram of the node's is one as well.
        let unreachable = probe::udp(node, None, stranger.socket(family, 9));
        assert_eq!(unreachable, Outcome::Refused, "{case}");
        let from = &stranger.namespace;
        let new = probe::tcp(from, None, lab.node.socket(family, 80));
        assert_eq!(new, Outcome::Silence, "{case}");
        let new = ping(from, lab.node.address(family), 5, 56);
        assert_eq!(new, Outcome::Silence, "{case}");
    }
}

fn admitted_connections_are_answered_under_egress_default_deny(xdp: &'static str) {
    let specs = [("web", INGRESS_WEB), ("nothing", EGRESS_NOTHING)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &specs) else {
        return;
    };
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    let from = &lab.stranger.namespace;
    for family in Family::BOTH {
        let case = format!("{family} {xdp}");
        assert_eq!(
            probe::tcp(from, None, node.socket(family, 80)),
            Outcome::Answered,
            "{case}"
        );
        assert_eq!(
            probe::udp(from, None, node.socket(family, 53)),
            Outcome::Answered,
            "{case}"
        );
        let large = probe::udp_of_size(from, None, node.socket(family, 53), 9_000);
        assert_eq!(large, Outcome::Answered, "{case}");
        assert_eq!(
            ping(from, node.address(family), 6, 56),
            Outcome::Answered,
            "{case}"
        );
        let mut bulk = Connection::open(from, None, node.socket(family, 80)).unwrap();
        bulk.bulk(16 << 20)
            .unwrap_or_else(|error| panic!("bulk {case}: {error}"));

        let own = &node.namespace;
        let out = probe::tcp(own, None, lab.stranger.socket(family, 80));
        assert_eq!(out, Outcome::Silence, "{case}");
        let out = probe::udp(own, None, lab.stranger.socket(family, 53));
        assert!(!out.answered(), "{out} {case}");
        let out = ping(own, lab.stranger.address(family), 8, 56);
        assert!(!out.answered(), "{out} {case}");
    }
    assert_eq!(fixture.stranger.seen(tcp(80)), 0);
    assert_eq!(fixture.stranger.seen(udp(53)), 0);
}

fn what_only_looks_like_an_answer_is_denied(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("nothing", INGRESS_NOTHING)]) else {
        return;
    };
    let (lab, stranger) = (&fixture.lab, &fixture.lab.stranger);
    for family in Family::BOTH {
        // The node talks to the stranger's port 53 from its port 40000 …
        let asked = probe::udp(
            &lab.node.namespace,
            Some(40_000),
            stranger.socket(family, 53),
        );
        assert_eq!(asked, Outcome::Answered, "{family} {xdp}");
        // … which opens nothing for another host, nor for another port of the node.
        let other = probe::udp(
            &lab.node2.namespace,
            Some(53),
            lab.node.socket(family, 7001),
        );
        assert_eq!(other, Outcome::Silence, "{family} {xdp}");
    }
    assert_eq!(fixture.node.seen(udp(7001)), 0);
}

/// A port with a server of its own, above that of its clients.
const STREAM: u16 = 8_088;
const INGRESS_STREAM: &str = r#"
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports:
      - {port: "8088", protocol: TCP}
"#;

/// The server's port is not below the client's, so that by its packets alone it could be
/// the client.
fn a_new_deny_cuts_connections_whose_server_goes_on_sending(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("stream", INGRESS_STREAM)]) else {
        return;
    };
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    let second = Duration::from_secs(1);
    let mut pairs = Vec::new();
    for family in Family::BOTH {
        let address = SocketAddr::new(node.address(family), STREAM);
        let server = node.namespace.enter(|| TcpListener::bind(address)).unwrap();
        let client = &lab.stranger.namespace;
        let client = probe::connect(second, client, Some(1_000), address).unwrap();
        let (peer, _) = server.accept().unwrap();
        for end in [&client, &peer] {
            end.set_nonblocking(true).unwrap();
        }
        pairs.push((family, client, peer, server));
    }
    for (family, client, peer, _server) in &pairs {
        let heard = exchange(client, peer, second);
        assert!(heard > 10, "{family} {xdp}: {heard} bytes before");
    }
    fixture.write_policy("stream", INGRESS_NOTHING);
    fixture.reload();
    for (family, client, peer, _server) in &pairs {
        // What was on its way arrives yet.
        exchange(client, peer, second / 4);
        assert_eq!(exchange(client, peer, second), 0, "{family} {xdp}");
    }
}

/// Both ends send a byte every 20 ms; how many of the client's the server got.
fn exchange(mut client: &TcpStream, mut server: &TcpStream, time: Duration) -> usize {
    let (start, mut heard) = (Instant::now(), 0);
    while start.elapsed() < time {
        for mut end in [client, server] {
            match end.write(b"x") {
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                _ => {}
            }
        }
        sleep(Duration::from_millis(20));
        let mut room = [0; 4_096];
        let _ = client.read(&mut room);
        heard += server.read(&mut room).unwrap_or(0);
    }
    heard
}
