//! Frames that no ordinary program sends.

use std::net::SocketAddr;
use std::time::Duration;

use sandbox::frame::{self, FrameSocket};
use sandbox::{Family, Monitor};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(3);

on_xdp_and_tc!(
    tagged_frames_are_judged_inside_the_tag,
    malformed_packets_are_dropped_by_name
);

fn tagged_frames_are_judged_inside_the_tag(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    let monitor = Monitor::start(&fixture.fw_ctl, &["-t", "policy-verdict"]).unwrap();
    // Sent on the node's port, the tag is in the frame when the node sees it. Sent
    // through the bridge, it has moved to the packet's metadata on the way, as it
    // does in a card that strips tags.
    let in_frame = FrameSocket::open(&lab.segment, "p-node").unwrap();
    let stripped = FrameSocket::open(&lab.stranger.namespace, "eth0").unwrap();
    let on_node = FrameSocket::open(&node.namespace, "eth0").unwrap();
    let one = vec![(frame::VLAN, 7)];
    let two = vec![(frame::SERVICE_VLAN, 100), (frame::VLAN, 7)];
    let ways = [(&in_frame, &one), (&in_frame, &two), (&stripped, &one)];
    let mut port = 45_000;
    for (wire, tags) in ways {
        for family in Family::BOTH {
            for (service, action) in [(22, "deny"), (80, "allow")] {
                port += 1;
                let from = SocketAddr::new(lab.stranger.address(family), port);
                let to = node.socket(family, service);
                let (kind, packet) = frame::tcp_syn(from, to);
                let syn = frame::ethernet(node.mac, lab.stranger.mac, tags, kind, &packet);
                wire.send(&syn).unwrap();
                let verdict = monitor.verdict(PATIENCE, |verdict| {
                    verdict.source == (from.ip(), Some(from.port()))
                });
                let case = format!("{from} -> {to} in {} tags {xdp}", tags.len());
                let verdict = verdict.unwrap_or_else(|| panic!("no verdict: {case}"));
                assert_eq!(verdict.action, action, "{case}");
                assert_eq!(verdict.destination, (to.ip(), Some(service)), "{case}");
                let arrived = on_node.wait_for(|seen| {
                    let payload = seen.windows(packet.len()).any(|part| part == packet);
                    payload.then_some(())
                });
                // Taps are behind XDP, but before TC.
                if xdp == "native" {
                    assert_eq!(arrived.is_ok(), action == "allow", "{case}");
                }
            }
        }
    }
}

fn malformed_packets_are_dropped_by_name(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    let monitor = Monitor::start(&fixture.fw_ctl, &["-t", "drop"]).unwrap();
    let wire = FrameSocket::open(&lab.segment, "p-node").unwrap();
    let send = |tags: &[(u16, u16)], (kind, packet): (u16, Vec<u8>)| {
        wire.send(&frame::ethernet(
            node.mac,
            lab.stranger.mac,
            tags,
            kind,
            &packet,
        ))
        .unwrap();
    };
    let whole = |family| {
        let from = lab.stranger.socket(family, 45_000);
        frame::tcp_syn(from, node.socket(family, 80))
    };
    let (kind, mut short) = whole(Family::V4);
    // The header says that it has 16 bytes; RFC 791 §3.1: at least 20.
    short[0] = 0x44;
    send(&[], (kind, short));
    let invalid = |line: &str| line.contains("xx drop (Invalid packet)");
    assert!(monitor.line(PATIENCE, invalid).is_some(), "{xdp}");

    let tags = [(frame::SERVICE_VLAN, 1), (frame::VLAN, 2), (frame::VLAN, 3)];
    send(&tags, whole(Family::V6));
    let tagged = |line: &str| line.contains("xx drop (Unsupported L2 protocol)");
    assert!(monitor.line(PATIENCE, tagged).is_some(), "{xdp}");
}
