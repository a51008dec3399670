//! What a network needs to be one works under default deny in both directions.

use std::time::{Duration, Instant};

use sandbox::frame::{self, FrameSocket};
use sandbox::probe::{self, Outcome};
use sandbox::{Family, Servers, udp};

use crate::fixture::{EGRESS_NOTHING, Fixture, INGRESS_NOTHING, INGRESS_WEB};
use crate::on_xdp_and_tc;

on_xdp_and_tc!(
    neighbours_are_found_again,
    dhcp_passes_in_both_directions,
    arp_that_is_switched_off_is_dropped_and_told,
    a_failsafe_entry_wins_over_a_deny_rule_and_is_counted
);

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

/// Prepares a node with a drop-in of the configuration, and starts it.
fn start_with(xdp: &'static str, specs: &[(&str, &str)], drop_in: &str) -> Option<Fixture> {
    let mut fixture = Fixture::prepare(xdp, "enforce", specs)?;
    let directory = fixture.lab.dir.path().join("conf.d");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("10-test.toml"), drop_in).unwrap();
    fixture.restart_daemon();
    Some(fixture)
}

/// All that `status` says.
fn status(fixture: &Fixture) -> serde_json::Value {
    let status = fixture.fw_ctl.must(&["status", "-o", "json"]).unwrap();
    serde_json::from_str(&status).unwrap()
}

fn arp_that_is_switched_off_is_dropped_and_told(xdp: &'static str) {
    let off = "[builtins]\ndisable = [\"arp\"]\n";
    let Some(fixture) = start_with(xdp, &[], off) else {
        return;
    };
    let (node, peer) = (&fixture.lab.node, &fixture.lab.node2);
    node.flush_neighbours().unwrap();
    peer.flush_neighbours().unwrap();
    let into = |family| probe::tcp(&peer.namespace, None, node.socket(family, 80));
    assert!(!into(Family::V4).answered(), "{xdp}");
    assert_eq!(into(Family::V6), Outcome::Answered, "{xdp}");
    let out = probe::udp(&node.namespace, None, peer.socket(Family::V4, 9));
    assert!(!out.answered(), "{xdp}");
    let status = status(&fixture);
    let dropped = |direction: &str| {
        let mut counters = status["counters"].as_array().unwrap().iter();
        let is = |counter: &&serde_json::Value| {
            counter["direction"] == direction && counter["name"] == "dropped/arp-off"
        };
        counters
            .find(is)
            .map_or(0, |counter| counter["packets"].as_u64().unwrap())
    };
    assert!(
        dropped("ingress") > 0 && dropped("egress") > 0,
        "{xdp}: {status}"
    );
    assert!(
        status["warnings"]
            .to_string()
            .contains("`arp` is switched off"),
        "{status}"
    );
}

fn a_failsafe_entry_wins_over_a_deny_rule_and_is_counted(xdp: &'static str) {
    let deny = "
  nodeSelector: {}
  ingressDeny:
  - fromEntities: [all]
";
    let failsafe = "[failsafe]\ninbound = [{ protocol = \"tcp\", port = 80 }]\n";
    let Some(fixture) = start_with(xdp, &[("deny", deny)], failsafe) else {
        return;
    };
    let (node, peer) = (&fixture.lab.node, &fixture.lab.node2);
    let before = status(&fixture);
    assert_eq!(before["failsafe"][0]["packets"], 0, "{before}");
    for family in Family::BOTH {
        let into = |port| probe::tcp(&peer.namespace, None, node.socket(family, port));
        assert_eq!(into(80), Outcome::Answered, "{family} {xdp}");
        assert!(!into(22).answered(), "{family} {xdp}");
    }
    let after = status(&fixture);
    let entry = &after["failsafe"][0];
    assert_eq!(entry["allows"], "tcp 80 from anybody");
    assert!(
        entry["origin"]
            .as_str()
            .unwrap()
            .ends_with("conf.d/10-test.toml:2"),
        "{entry}"
    );
    assert!(entry["packets"].as_u64().unwrap() >= 4, "{entry}");
    let warnings = after["warnings"].to_string();
    assert!(
        warnings.contains("conf.d/10-test.toml:2) lets pass"),
        "{warnings}"
    );
    let from = peer.socket(Family::V4, 1).ip().to_string();
    let to = node.socket(Family::V4, 80).to_string();
    let trace = ["trace", "--from", &from, "--to", &format!("{to}/tcp")];
    let trace = fixture.fw_ctl.must(&trace).unwrap();
    assert!(trace.contains("allowed by a failsafe entry"), "{trace}");
}
