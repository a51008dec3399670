//! What the kernel does not report is counted where flows are told, as much as it was.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sandbox::frame::{self, FrameSocket};
use sandbox::{Family, Monitor};
use serde_json::Value;

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

/// More than a CPU reports in the time that they take.
const FLOOD: u32 = 50_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of the shortest of the second kind.
const SHORT: usize = 60;
/// Packets, one after the other, of each of two kinds that the flood must not hide.
const SINGLE: u16 = 12;

on_xdp_and_tc!(
    a_flood_is_told_in_part_and_the_rest_is_counted,
    a_flood_on_one_rule_hides_nothing_else
);

/// Events that were lost, as `fw-ctl observe` tells them of the past.
fn lost(fixture: &Fixture) -> Vec<u64> {
    let text = fixture
        .fw_ctl
        .must(&["observe", "--all", "-o", "json", "--to-port", "1"])
        .unwrap();
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let event = &line["lost_events"];
        assert_eq!(event["source"], "PERF_EVENT_RING_BUFFER", "{line}");
        assert!(line["time"].is_string() && line["node_name"].is_string());
        event["num_events_lost"].as_str().unwrap().parse().unwrap()
    });
    lines.collect()
}

/// Datagrams that are denied, one after the other, until it is `enough`.
pub fn flood(fixture: &Fixture, mut enough: impl FnMut() -> bool + Send) {
    let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
    from.namespace.enter(|| {
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(node.socket(Family::V4, 7001)).unwrap();
        while !enough() {
            // Nobody answers, and a full queue is the flood's own business.
            let _ = socket.send(b"x");
        }
    });
}

/// What the kernel has counted.
fn counted(fixture: &Fixture) -> u64 {
    let text = fixture.fw_ctl.must(&["status", "-o", "json"]).unwrap();
    let status: Value = serde_json::from_str(&text).unwrap();
    status["lost_events"].as_u64().unwrap()
}

fn a_flood_is_told_in_part_and_the_rest_is_counted(xdp: &'static str) {
    let Some(fixture) = Fixture::start(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    let monitor = Monitor::start(&fixture.fw_ctl, &[]).unwrap();
    assert!(lost(&fixture).is_empty(), "{xdp}: nothing has happened yet");
    let began = Instant::now();
    let mut left = FLOOD;
    flood(&fixture, || {
        left -= 1;
        left == 0
    });
    let mut told = Vec::new();
    let mut in_kernel = 0;
    while told.iter().sum::<u64>() != in_kernel || in_kernel == 0 {
        let waited = began.elapsed();
        assert!(
            waited < PATIENCE,
            "{xdp}: {told:?} of {in_kernel} after {waited:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
        in_kernel = counted(&fixture);
        told = lost(&fixture);
    }
    // Once a second at most.
    let seconds = began.elapsed().as_secs() + 1;
    assert!(
        told.len() as u64 <= seconds,
        "{xdp}: {told:?} in {seconds} s"
    );
    let total: u64 = told.iter().sum();
    assert!(total < u64::from(FLOOD), "{xdp}: some were told");
    let line = monitor.line(PATIENCE, |line| {
        line.contains("Lost ") && line.ends_with(" events")
    });
    assert!(line.is_some(), "{xdp}: the monitor says nothing");
    let lines = fixture
        .fw_ctl
        .must(&["observe", "--all", "--to-port", "1"])
        .unwrap();
    for (line, count) in lines.lines().zip(&told) {
        assert!(
            line.starts_with("EVENTS LOST: PERF_EVENT_RING_BUFFER CPU("),
            "{line}"
        );
        assert!(line.ends_with(&format!(") {count}")), "{line}");
    }
}

/// Denied by a rule that names it.
const GUARD: &str = r#"
  nodeSelector: {}
  ingressDeny:
  - toPorts:
    - ports:
      - {port: "7002", protocol: TCP}
"#;

fn a_flood_on_one_rule_hides_nothing_else(xdp: &'static str) {
    let policies = [("web", INGRESS_WEB), ("guard", GUARD)];
    let Some(fixture) = Fixture::start(xdp, "enforce", &policies) else {
        return;
    };
    let monitor = Monitor::start(&fixture.fw_ctl, &["-t", "drop", "-v"]).unwrap();
    let (lab, node) = (&fixture.lab, &fixture.lab.node);
    let wire = FrameSocket::open(&lab.segment, "p-node").unwrap();
    let send = |(kind, packet): (u16, Vec<u8>)| {
        let frame = frame::ethernet(node.mac, lab.stranger.mac, &[], kind, &packet);
        wire.send(&frame).unwrap();
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| flood(&fixture, || done.load(Ordering::Relaxed)));
        for number in 0..SINGLE {
            // Two of the windows in which a CPU counts its events.
            std::thread::sleep(Duration::from_millis(256));
            let family = Family::BOTH[usize::from(number % 2)];
            let from = lab.stranger.socket(family, 45_000 + number);
            send(frame::tcp_syn(from, node.socket(family, 7002)));
            let from = lab.stranger.socket(Family::V4, 46_000 + number);
            let (kind, mut short) = frame::tcp_syn(from, node.socket(Family::V4, 80));
            // The header says that it has 16 bytes; RFC 791 §3.1: at least 20.
            short[0] = 0x44;
            // By which one is told from the other.
            short.resize(SHORT + usize::from(number), 0);
            send((kind, short));
        }
        done.store(true, Ordering::Relaxed);
    });
    for number in 0..SINGLE {
        let port = format!(":{} -> ", 45_000 + number);
        let by_name = |line: &str| line.contains("denylist") && line.contains(&port);
        let told = monitor.line(PATIENCE, by_name);
        assert!(told.is_some(), "{xdp}: {number} is hidden by the flood");
        let length = format!(", {} bytes", 14 + SHORT + usize::from(number));
        let invalid = |line: &str| line.contains("invalid-packet") && line.ends_with(&length);
        let told = monitor.line(PATIENCE, invalid);
        assert!(told.is_some(), "{xdp}: {number} is hidden by the flood");
    }
    // As it is said of those that were told.
    let told = monitor.line(PATIENCE, |line| line.contains("default-deny, by "));
    let told = told.unwrap();
    let rule = told.trim_start().strip_prefix("default-deny, ").unwrap();
    let (rule, _) = rule.split_once(", plan ").unwrap();
    assert!(rule.contains(".yaml:"), "{xdp}: {rule}");
    let lost = format!(" not allowed, {rule}");
    let line = monitor.line(PATIENCE, |line| line.ends_with(&lost));
    assert!(line.is_some(), "{xdp}: no line ends with{lost}");
}
