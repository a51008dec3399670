//! Tunnels whose packets have no Ethernet header, in kernels that are not this machine's:
//! what is asked through them, from both ends, is judged inside, and counted exactly.
//!
//! The kernels differ in what lies in front of the packet when a program sees it: outer
//! headers before Linux 5.14, and always where a GRE tunnel has many remotes.
//!
//! What is skipped, and when that is a failure: as in `guest.rs`.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::path::Path;
use std::time::Duration;

use sandbox::WorkDir;
use sandbox::guest::{Guest, Kernel, Output, on_the_outermost_kernels, or_skip};
use serde_json::Value;

const CONFIG: &str = r#"
[node]
name = "node"
[policy]
mode = "enforce"
dirs = ["/etc/fw-ctl/policies"]
inventory = []
[interfaces]
include = ["tipip", "tgre", "tnbma", "tip6", "tsit"]
[failsafe]
inbound = []
outbound = []
"#;

const WEB: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: web}
spec:
  nodeSelector: {}
  ingress:
  - toPorts:
    - ports: [{port: "80", protocol: TCP}]
  egress:
  - toPorts:
    - ports: [{port: "80", protocol: TCP}]
"#;

const TUNNELS: [&str; 5] = ["tipip", "tgre", "tnbma", "tip6", "tsit"];

#[test]
fn tunnels_are_judged_inside_in_guests() {
    on_the_outermost_kernels(|kernel| {
        if let Some(output) = run(kernel) {
            check(&output);
        }
    });
}

fn run(kernel: &Kernel) -> Option<Output> {
    let binary = sandbox::binary(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))?;
    let files = WorkDir::new().unwrap();
    files.write("fw-ctl/fw-ctl.toml", CONFIG).unwrap();
    files.write("fw-ctl/policies/web.yaml", WEB).unwrap();
    let mut guest = Guest::new(kernel)
        .nics(2)
        .program(binary)
        .program("ip")
        .file(files.path().join("fw-ctl"), "/etc/fw-ctl");
    for module in [
        "ipip",
        "ip_gre",
        "ip6_tunnel",
        "sit",
        "sch_ingress",
        "cls_bpf",
    ] {
        guest = guest.module(module);
    }
    let script = include_str!("guest/headerless.sh");
    let output = or_skip(guest.run(script, Duration::from_mins(5)))?;
    assert_eq!(output.status, 0, "{}", output.console);
    Some(output)
}

fn check(output: &Output) {
    let status: Value = serde_json::from_str(&output.file("status.json").unwrap()).unwrap();
    for tunnel in TUNNELS {
        let mut interfaces = status["interfaces"].as_array().unwrap().iter();
        let row = interfaces.find(|row| row["name"] == tunnel).unwrap();
        assert_eq!(row["ingress"], "tc", "{status}");
    }
    let mut before = "start".to_owned();
    for tunnel in TUNNELS {
        for (port, verdict) in [(80, "allow"), (81, "deny")] {
            for direction in ["ingress", "egress"] {
                let asked = format!("{tunnel}.{direction}.{port}");
                let answer = output.file(&format!("{asked}.answer")).unwrap();
                let due = if verdict == "allow" { "answer\n" } else { "" };
                assert_eq!(answer, due, "{asked}");
                let sent = segments(output, &asked);
                assert!(sent >= 1, "{asked}");
                for (of, decision, count) in [
                    (direction, verdict, sent),
                    ("ingress", "allow", 0),
                    ("ingress", "deny", 0),
                    ("egress", "allow", 0),
                    ("egress", "deny", 0),
                ] {
                    if count == 0 && (of, decision) == (direction, verdict) {
                        continue;
                    }
                    let decided = |moment: &str| decided(output, moment, of, decision);
                    let found = decided(&asked) - decided(&before);
                    assert_eq!(found, count, "{asked}: {of} {decision}");
                }
                before = asked;
            }
        }
    }
}

/// Segments that the kernel of who asked sent, repetitions among them (RFC 4022).
fn segments(output: &Output, asked: &str) -> u64 {
    let sent = |moment: &str| {
        let text = output.file(&format!("{asked}.{moment}")).unwrap();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        names
            .split(' ')
            .zip(values.split(' '))
            .filter(|(name, _)| ["OutSegs", "RetransSegs"].contains(name))
            .map(|(_, value)| value.parse::<u64>().unwrap())
            .sum::<u64>()
    };
    sent("after") - sent("before")
}

/// Packets that were decided so far by the rules of this direction and verdict.
fn decided(output: &Output, moment: &str, direction: &str, verdict: &str) -> u64 {
    let text = output.file(&format!("{moment}.rules")).unwrap();
    let rules: Value = serde_json::from_str(&text).unwrap();
    rules["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["direction"] == direction && rule["verdict"] == verdict)
        .map(|rule| rule["packets"].as_u64().unwrap())
        .sum()
}
