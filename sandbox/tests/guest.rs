//! `fw-ctl` in a kernel that is not this machine's, on interfaces with a driver of
//! their own: native XDP on virtio, with real connections between two of them.
//!
//! The binary is found as for `netns`. Without QEMU, busybox or the kernel a test says
//! `skipped: …`; with `FW_KERNEL_TESTS=require` that is a failure.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::path::Path;
use std::time::Duration;

use sandbox::WorkDir;
use sandbox::guest::{Guest, Kernel, Output, on_each_kernel, or_skip};
use serde_json::Value;

const CONFIG: &str = r#"
[node]
name = "node"
[policy]
mode = "enforce"
dirs = ["/etc/fw-ctl/policies"]
inventory = []
[interfaces]
include = ["eth0"]
xdp = "native"
require = "native"
[failsafe]
inbound = []
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
"#;

/// What the fw-ctl of this build did in the guest; `None` where there is no guest.
fn run(kernel: &Kernel) -> Option<Output> {
    let binary = sandbox::binary(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))?;
    let files = WorkDir::new().unwrap();
    files.write("fw-ctl/fw-ctl.toml", CONFIG).unwrap();
    files.write("fw-ctl/policies/web.yaml", WEB).unwrap();
    let guest = Guest::new(kernel)
        .nics(2)
        .program(binary)
        .program("ip")
        .file(files.path().join("fw-ctl"), "/etc/fw-ctl");
    // Before there was tcx (6.6), what leaves is judged by a filter of this queue.
    let guest = guest.module("sch_ingress").module("cls_bpf");
    let output = or_skip(guest.run(include_str!("guest/node.sh"), Duration::from_mins(3)))?;
    assert_eq!(output.status, 0, "{}", output.console);
    Some(output)
}

/// Segments that the client's kernel sent while it asked, repetitions among them
/// (RFC 4022: tcpOutSegs has none, tcpRetransSegs nothing else).
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

/// Packets that arrived and were decided by the rule of this verdict so far.
fn decided(output: &Output, asked: &str, verdict: &str) -> u64 {
    let rules: Value =
        serde_json::from_str(&output.file(&format!("{asked}.rules")).unwrap()).unwrap();
    rules["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["direction"] == "ingress" && rule["verdict"] == verdict)
        .map(|rule| rule["packets"].as_u64().unwrap())
        .sum()
}

fn enforces_on_virtio(kernel: &Kernel) {
    let Some(output) = run(kernel) else { return };
    let status: Value = serde_json::from_str(&output.file("status.json").unwrap()).unwrap();
    assert_eq!(status["interfaces"][0]["name"], "eth0", "{status}");
    assert_eq!(status["interfaces"][0]["ingress"], "xdp-native", "{status}");
    assert_eq!(status["mode"], "enforce", "{status}");

    let answer = |asked: &str| output.file(&format!("{asked}.answer")).unwrap();
    assert_eq!(answer("allowed"), "answer\n");
    assert_eq!(answer("denied"), "");
    // There is a server on that port, too: it was the policy that kept it silent.
    assert_eq!(answer("audited"), "answer\n");

    let (allowed, denied) = (segments(&output, "allowed"), segments(&output, "denied"));
    assert!(allowed >= 4 && denied >= 1, "{allowed}, {denied}");
    assert_eq!(decided(&output, "allowed", "allow"), allowed);
    assert_eq!(decided(&output, "allowed", "deny"), 0);
    assert_eq!(decided(&output, "denied", "allow"), allowed);
    assert_eq!(decided(&output, "denied", "deny"), denied);
    let audited = denied + segments(&output, "audited");
    assert_eq!(decided(&output, "audited", "deny"), audited);
    the_doctor_knows(&output);
}

/// What `fw-ctl doctor` must know of this kernel and this interface.
fn the_doctor_knows(output: &Output) {
    let read = |file: &str| -> Value { serde_json::from_str(&output.file(file).unwrap()).unwrap() };
    let (doctor, plan) = (read("doctor.json"), read("plan.json"));
    let release = output.file("release").unwrap();
    let numbers: Vec<u32> = release
        .split(|c: char| !c.is_ascii_digit())
        .take(2)
        .map(|number| number.parse().unwrap())
        .collect();
    let found = |group: &str, subject: &str, words: &str| {
        let findings = doctor["findings"].as_array().unwrap();
        findings.iter().any(|finding| {
            finding["group"] == group
                && finding["subject"] == subject
                && finding["what"].as_str().unwrap().contains(words)
        })
    };
    let tc = if numbers >= vec![6, 6] {
        "TCX"
    } else {
        "clsact"
    };
    let large = if numbers >= vec![5, 18] {
        "had ("
    } else {
        "not had"
    };
    for (group, subject, words) in [
        ("kernel", "release", release.trim()),
        ("kernel", "large frames in XDP", large),
        ("datapath", "TC", tc),
        ("interfaces", "eth0", "virtio_net"),
        ("interfaces", "eth0", "native XDP"),
    ] {
        assert!(
            found(group, subject, words),
            "{group} {subject} {words}: {doctor}"
        );
    }
    let eth0 = plan["interfaces"].as_array().unwrap().iter();
    let eth0 = eth0.clone().find(|planned| planned["name"] == "eth0");
    assert_eq!(eth0.unwrap()["ingress"][0], "xdp-native", "{plan}");
}

#[test]
fn the_kernel_that_was_asked_for_runs_in_guests() {
    on_each_kernel(|kernel| {
        let script = "uname -r >/out/release; echo 3 >/out/three; exit 7";
        let Some(output) = or_skip(Guest::new(kernel).run(script, Duration::from_mins(2))) else {
            return;
        };
        assert_eq!(output.status, 7, "{}", output.console);
        assert_eq!(output.file("release").unwrap().trim(), kernel.release());
        assert_eq!(output.file("three").unwrap(), "3\n");
    });
}

#[test]
fn policy_holds_by_native_xdp_on_virtio_in_guests() {
    on_each_kernel(enforces_on_virtio);
}
