//! What the programs themselves log of real packets, by a fw-ctl that was built so
//! (`scripts/ebpf-log.sh` builds it, and runs this).

use std::time::{Duration, Instant};

use sandbox::{Family, probe};

use crate::fixture::{Fixture, INGRESS_WEB};
use crate::on_xdp_and_tc;

const PATIENCE: Duration = Duration::from_secs(10);

on_xdp_and_tc!(packets_are_logged_by_the_program_that_judged_them);

fn packets_are_logged_by_the_program_that_judged_them(xdp: &'static str) {
    let Some(mut fixture) = Fixture::prepare(xdp, "enforce", &[("web", INGRESS_WEB)]) else {
        return;
    };
    fixture.fw_ctl = fixture.fw_ctl.clone().with_flag("--ebpf-log");
    fixture.restart_daemon();
    let program = match xdp {
        "native" => "fw_xdp",
        _ => "fw_tc_ingress",
    };
    let link = ["-o", "link", "show", "dev", "eth0"];
    let link = fixture.lab.node.namespace.run("ip", &link).unwrap();
    let eth0: u32 = link.split(':').next().unwrap().parse().unwrap();
    let log = || std::fs::read_to_string(&fixture.fw_ctl.files().log).unwrap();
    // Nothing else sends to the node and is dropped.
    let dropped = format!("eBPF: {program}: drop, interface {eth0}, ");
    assert!(!log().contains(&dropped), "{}", log());
    let (stranger, node) = (&fixture.lab.stranger, &fixture.lab.node);
    for family in Family::BOTH {
        let _ = probe::tcp(&stranger.namespace, None, node.socket(family, 22));
        let _ = probe::tcp(&stranger.namespace, None, node.socket(family, 80));
    }
    let passed = format!("eBPF: {program}: pass, interface {eth0}, ");
    let answered = "eBPF: fw_tc_egress: pass, interface ";
    let end = Instant::now() + PATIENCE;
    for line in [dropped.as_str(), &passed, answered] {
        while !log().contains(line) {
            assert!(Instant::now() < end, "no line {line:?}:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let status = fixture.fw_ctl.status().unwrap();
    assert!(!status.is_degraded(), "{status:?}");
}
