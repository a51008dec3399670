//! What a network needs to be one works under default deny in both directions.

use std::time::{Duration, Instant};

use sandbox::frame::{self, FrameSocket};
use sandbox::probe::{self, Outcome};
use sandbox::{Family, Servers, udp};

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_NOTHING, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(neighbours_are_found_again, dhcp_passes_in_both_directions);

fn neighbours_are_found_again(xdp: &'static str) {
    let specs = [("web", INGRESS_WEB), ("nothing", EGRESS_NOTHING)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &specs) else {
        return;
    };
    let (node, peer) = (&fixture.lab.node, &fixture.lab.node2);
    for _ in 0..3 {
        for family in Family::BOTH {
            node.flush_neighbours().unwrap();
            peer.flush_neighbours().unwrap();
            let outcome = probe::tcp(&peer.namespace, None, node.socket(family, 80));
            assert_eq!(outcome, Outcome::Answered, "{family} {xdp}");
        }
    }
}

fn dhcp_passes_in_both_directions(xdp: &'static str) {
    let specs = [("in", INGRESS_NOTHING), ("out", EGRESS_NOTHING)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &specs) else {
        return;
    };
    let (lab, server) = (&fixture.lab, &fixture.lab.node2);
    let node = Servers::start(&lab.node, &[udp(68), udp(69), udp(546), udp(547)]).unwrap();
    // Neighbours first, so that the frames below can be answered at once.
    for family in Family::BOTH {
        let closed = probe::udp(&lab.node.namespace, None, server.socket(family, 9));
        assert!(!closed.answered());
    }
    let wire = FrameSocket::open(&lab.segment, "p-node").unwrap();
    let send = |family, from, to| {
        let (from, to) = (server.socket(family, from), lab.node.socket(family, to));
        let (kind, packet) = frame::udp(from, to, b"lease");
        wire.send(&frame::ethernet(
            lab.node.mac,
            server.mac,
            &[],
            kind,
            &packet,
        ))
        .unwrap();
    };
    // Denied first: what is not DHCP, and DHCP of the other family or direction.
    send(Family::V4, 67, 69);
    send(Family::V4, 66, 68);
    send(Family::V6, 67, 68);
    send(Family::V6, 546, 547);
    send(Family::V4, 67, 68);
    send(Family::V6, 547, 546);
    let end = Instant::now() + Duration::from_secs(3);
    while node.seen(udp(68)) + node.seen(udp(546)) < 2 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let seen = [68, 69, 546, 547].map(|port| node.seen(udp(port)));
    assert_eq!(seen, [1, 0, 1, 0], "{xdp}");
    // The client's side: its requests leave, and the answers come back.
    // Two echo servers would go on for ever, so there was none on the other side.
    drop(node);
    let _relay = Servers::start(server, &[udp(67), udp(547)]).unwrap();
    let own = &lab.node.namespace;
    let lease = probe::udp(own, Some(68), server.socket(Family::V4, 67));
    assert_eq!(lease, Outcome::Answered, "{xdp}");
    let lease = probe::udp(own, Some(546), server.socket(Family::V6, 547));
    assert_eq!(lease, Outcome::Answered, "{xdp}");
    let other = probe::udp(own, Some(68), server.socket(Family::V6, 547));
    assert!(!other.answered(), "{other} {xdp}");
}
