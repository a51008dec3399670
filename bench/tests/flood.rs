//! A flood from a million sources to closed ports: nothing is remembered of it, and the
//! node's own connections come about all along.

#![allow(
    clippy::unwrap_used,
    reason = "test code outside of test functions: helpers"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bench::generator::{Bounds, Generator};
use bench::peer::rules::Rules;
use bench::scenario::{Lists, Packets, Scenario};
use sandbox::probe::Connection;
use sandbox::{DaemonFiles, Family, FwCtl, Lab, Servers, Settings, inventory, tcp};

/// Packets in all: each from an address of its own, but for chance.
const FLOOD: u64 = 1_000_000;
/// Of one call of the generator.
const AT_ONCE: Bounds = Bounds {
    duration: Duration::from_millis(200),
    packets: 400_000,
};
/// Connections that the node remembers of its own at most; a flood that got into the
/// table would fill it.
const OWN: u64 = 50_000;
/// With what the ring of the veth has no room for: it is sent again.
const PATIENCE: Duration = Duration::from_secs(10);
/// KiB by which the daemon may grow.
const GROWTH: u64 = 4_096;

#[test]
fn a_flood_to_closed_ports_leaves_no_trace_and_cuts_nothing() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let Some(fw_ctl) = sandbox::binary(&target) else {
        return;
    };
    for xdp in ["native", "off"] {
        flood(&fw_ctl, xdp);
    }
}

fn flood(binary: &Path, xdp: &'static str) {
    let lab = Lab::new().unwrap();
    // Polled: frames from XDP arrive without a program of the receiver's, too.
    let node = &lab.node.namespace;
    node.run("ethtool", &["-K", "eth0", "gro", "on"]).unwrap();
    let settings = Settings {
        node: inventory::NODE,
        mode: "enforce",
        include: "eth0",
        xdp,
    };
    let files = DaemonFiles::new(&lab, &settings).unwrap();
    // Nothing may come in but answers.
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
                  metadata: {name: closed}\n\
                  spec: {nodeSelector: {}, ingress: [{fromCIDR: [198.18.0.0/32]}]}\n";
    std::fs::write(files.policies.join("closed.yaml"), policy).unwrap();
    std::fs::write(files.inventory.join("cluster.yaml"), inventory::rke2(&lab)).unwrap();
    let fw_ctl = FwCtl::new(&lab, binary, files).unwrap();
    let daemon = fw_ctl.start().unwrap();
    assert!(!fw_ctl.status().unwrap().is_degraded());
    let _servers = Servers::start(&lab.stranger, &[tcp(80)]).unwrap();
    let before = settled(daemon.pid());

    let traffic = Scenario {
        rules: Rules::Host {
            open_udp: false,
            egress: false,
        },
        packets: Packets::UdpFlood,
        family: Family::V4,
        quick: false,
    }
    .traffic(&lab, &mut Lists::default());
    let mut generator = Generator::to_node(&lab, &traffic).unwrap();
    let done = AtomicBool::new(false);
    let (sent, connections) = thread::scope(|scope| {
        let own = scope.spawn(|| {
            let server = lab.stranger.socket(Family::V4, 80);
            let mut connections = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let mut connection = Connection::open_within(PATIENCE, node, None, server)
                    .expect("the node's own connections come about");
                connection.talk("during a flood").expect("and are answered");
                connections += 1;
            }
            connections
        });
        let mut sent = 0;
        while sent < FLOOD && !own.is_finished() {
            sent += lab.segment.enter(|| generator.send(AT_ONCE)).unwrap().all;
        }
        done.store(true, Ordering::Relaxed);
        (sent, own.join().expect("all of them"))
    });
    assert!(sent >= FLOOD);
    assert!(connections >= 10, "{connections} in the time of the flood");

    let answer = fw_ctl.ask(&["status", "-o", "json"]).unwrap();
    let status: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let remembered = status["connections"]["begun"].as_u64().unwrap();
    assert!(
        remembered >= connections && remembered < OWN.min(connections * 2 + 100),
        "{remembered} remembered, {connections} of the node's own"
    );
    assert_eq!(status["connections"]["displaced"], 0);
    let counters = status["counters"].as_array().unwrap();
    let dropped = counters
        .iter()
        .find(|counter| counter["name"] == "dropped/default-deny")
        .map_or(0, |counter| counter["packets"].as_u64().unwrap());
    // What the ring of the veth had no room for was not judged.
    assert!(
        dropped >= sent / 2,
        "{dropped} of {sent} dropped: {counters:?}"
    );
    let after = resident(daemon.pid());
    assert!(after <= before + GROWTH, "{before} KiB, then {after}");
}

/// The same, when a daemon that has just started grows no more: beside, it loads the
/// programs for its self-test.
fn settled(pid: nix::unistd::Pid) -> u64 {
    let mut last = resident(pid);
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(500));
        let now = resident(pid);
        if now <= last {
            return now;
        }
        last = now;
    }
    last
}

/// KiB of memory of a process.
fn resident(pid: nix::unistd::Pid) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
