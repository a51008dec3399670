//! What the kernel does not report is counted where flows are told, as much as it was.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sandbox::{Family, Monitor};
use serde_json::Value;

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

/// More than a CPU reports in the time that they take.
const FLOOD: u32 = 50_000;
const PATIENCE: Duration = Duration::from_secs(10);

on_xdp_and_tc!(a_flood_is_told_in_part_and_the_rest_is_counted);

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
    let (from, node) = (&fixture.lab.stranger, &fixture.lab.node);
    let began = Instant::now();
    from.namespace.enter(|| {
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(node.socket(Family::V4, 7001)).unwrap();
        for _ in 0..FLOOD {
            // Nobody answers, and a full queue is the flood's own business.
            let _ = socket.send(b"x");
        }
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
