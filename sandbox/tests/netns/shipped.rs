//! The files that are shipped in `config/` work as they are.

use std::path::{Path, PathBuf};

use sandbox::probe::{self, Outcome};
use sandbox::{Family, inventory};

use crate::fixture::{Fixture, binary};

const SETS: [&str; 11] = [
    "rke2",
    "rke2-optional",
    "k3s",
    "k3s-optional",
    "kubeadm",
    "kubeadm-optional",
    "talos",
    "talos-optional",
    "netpol-demo",
    "plain",
    "plain-host",
];

fn config(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    root.join(path)
        .canonicalize()
        .unwrap_or_else(|error| panic!("config/{path}: {error}"))
}

fn run(arguments: &[&str]) -> (bool, String, String) {
    let binary = binary().expect("checked by the caller");
    let output = std::process::Command::new(binary)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn every_policy_is_valid_without_a_warning() {
    if binary().is_none() {
        return;
    }
    for set in SETS {
        let path = config(&format!("policies/{set}"));
        let path = path.to_string_lossy();
        let (valid, lines, talk) = run(&["policy", "validate", &path, "-o", "json"]);
        assert!(valid, "{set}: {lines}{talk}");
        assert!(!lines.is_empty(), "{set}: no document was found");
        for line in lines.lines() {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(document["result"], "accept", "{line}");
            assert_eq!(document["warnings"], serde_json::json!([]), "{line}");
        }
    }
}

/// What the RKE2 set is for, asked of the shipped inventory: who, port, verdict.
#[test]
fn the_rke2_set_allows_what_rke2_needs_and_no_more() {
    let Some(fixture) = Fixture::prepare("native", "audit", &[]) else {
        return;
    };
    let (admin, server, agent, world) = ("10.0.9.5", "10.0.0.12", "10.0.0.21", "203.0.113.7");
    let cases = [
        (admin, "TCP", 22, "allow"),
        (server, "TCP", 22, "deny"),
        (world, "TCP", 22, "deny"),
        (agent, "TCP", 6443, "allow"),
        (agent, "TCP", 9345, "allow"),
        (admin, "TCP", 6443, "allow"),
        (world, "TCP", 6443, "deny"),
        (world, "TCP", 9345, "deny"),
        (server, "TCP", 2379, "allow"),
        (server, "TCP", 2381, "allow"),
        (agent, "TCP", 2379, "deny"),
        (admin, "TCP", 2380, "deny"),
        (server, "TCP", 10250, "allow"),
        (world, "TCP", 10250, "deny"),
        (agent, "UDP", 8472, "allow"),
        (agent, "UDP", 8742, "deny"),
        (world, "UDP", 8472, "deny"),
        (agent, "TCP", 4240, "allow"),
        (world, "TCP", 443, "allow"),
        (world, "TCP", 30080, "deny"),
    ];
    let mut flows = String::new();
    for (id, (source, protocol, port, expect)) in cases.into_iter().enumerate() {
        let flow = serde_json::json!({
            "id": id.to_string(), "src": source, "dst": "10.0.0.10", "proto": protocol,
            "sport": 40_000, "dport": port, "expect": expect,
        });
        flows += &format!("{flow}\n");
    }
    let flows = fixture.lab.dir.write("flows.jsonl", &flows).unwrap();
    let (policies, inventory) = (config("policies/rke2"), config("inventory/example.yaml"));
    for engine in ["reference", "model"] {
        let (met, lines, talk) = run(&[
            "policy",
            "test",
            "--policies",
            &policies.to_string_lossy(),
            "--inventory",
            &inventory.to_string_lossy(),
            "--node",
            inventory::NODE,
            "--flows",
            &flows.to_string_lossy(),
            "--engine",
            engine,
        ]);
        assert!(met, "{engine}:\n{lines}{talk}");
    }
}

#[test]
fn the_shipped_configuration_starts_in_audit_mode_and_cuts_nothing() {
    let Some(fixture) = Fixture::prepare("native", "audit", &[]) else {
        return;
    };
    let files = fixture.fw_ctl.files();
    for entry in std::fs::read_dir(config("policies/rke2"))
        .unwrap()
        .flatten()
    {
        std::fs::copy(entry.path(), files.policies.join(entry.file_name())).unwrap();
    }
    // The file of the package, with only the paths of this instance.
    let text = std::fs::read_to_string(config("fw-ctl.toml")).unwrap();
    let changes = [
        ("name = \"\"", format!("name = {:?}", inventory::NODE)),
        ("\"/etc/fw-ctl/policies\"", format!("{:?}", files.policies)),
        (
            "\"/etc/fw-ctl/inventory\"",
            format!("{:?}", files.inventory),
        ),
    ];
    let text = changes.iter().fold(text, |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    });
    std::fs::write(&files.config, text).unwrap();
    let _daemon = fixture
        .fw_ctl
        .start()
        .unwrap_or_else(|error| panic!("{error}"));
    let status = fixture.fw_ctl.status().unwrap();
    assert_eq!(status.mode, "audit");
    assert!(!status.is_degraded(), "{status:?}");
    assert!(
        status.ingress().is_some(),
        "`auto` has found eth0: {status:?}"
    );
    let (from, node) = (&fixture.lab.stranger.namespace, &fixture.lab.node);
    for family in Family::BOTH {
        let ssh = probe::tcp(from, None, node.socket(family, 22));
        assert_eq!(ssh, Outcome::Answered, "{family}");
    }
}
