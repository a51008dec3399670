//! What the kernel tests share: a sandbox, and small plans.
//!
//! Each test runs in a thread with a network and a mount namespace of its own,
//! with its own BPF file system: it touches nothing of the machine, and what it
//! leaves behind vanishes with the thread.

use std::io::Write;
use std::process::Command;

use fw_common::wire::{Direction, VerdictWord};
use fw_ctl::compile::plan::{DirectionPlan, Mode, Plan, PlanRule};
use fw_ctl::datapath::{LinkRef, host, objects};
use fw_ctl::lookup::Runs;
use ipnet::IpNet;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Where the tests pin; nothing is mounted on [`host::BPF_FILE_SYSTEM`] before.
pub const PIN_DIR: &str = "/sys/fs/bpf/fw-ctl";

/// Rule ids of [`plan`].
pub const DEFAULT_DENY: u16 = 1;
pub const ALLOW: u16 = 2;

/// Runs `test` in a sandbox, or says why not.
pub fn in_sandbox(test: fn()) {
    if let Some(why) = obstacle() {
        assert!(
            std::env::var("FW_KERNEL_TESTS").as_deref() != Ok("require"),
            "this test must run here, but {why}"
        );
        // Not `println!`: the test runner would swallow it.
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
        return;
    }
    let result = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("new namespaces");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
        // An empty file system hides a BPF file system of the machine.
        mount(none, "/sys/fs/bpf", Some("tmpfs"), MsFlags::empty(), none).expect("tmpfs");
        test();
    })
    .join();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("kernel tests need root".into());
    }
    if let Some(missing) = host::missing_capabilities() {
        return Some(format!("this process lacks {missing}"));
    }
    objects::xdp().err().map(|missing| missing.to_string())
}

/// Runs `ip` with arguments; the network namespace is this thread's.
pub fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .expect("ip of iproute2");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The interface `name` of this thread's network namespace.
pub fn link(name: &str) -> LinkRef {
    LinkRef {
        index: nix::net::if_::if_nametoindex(name).expect("the interface exists"),
        name: name.into(),
    }
}

/// Ingress: peers in `prefixes` may reach the TCP `ports`, all else is denied.
/// Egress: no policy.
pub fn plan(prefixes: &[&str], ports: &[u16]) -> Plan {
    let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap());
    let mut tcp = vec![0; 65_536];
    for port in ports {
        tcp[usize::from(*port)] = 1;
    }
    let ingress = DirectionPlan {
        columns: 2,
        ports: [tcp, vec![0; 65_536], vec![0; 65_536]],
        icmp: [vec![0; 256], vec![0; 256]],
        protocols: vec![0; 256],
        cells: [false, false, false, true]
            .map(|allow| match allow {
                true => VerdictWord::allow(ALLOW),
                false => VerdictWord::default_deny(DEFAULT_DENY),
            })
            .to_vec(),
    };
    let egress = DirectionPlan {
        columns: 1,
        ports: [vec![0; 65_536], vec![0; 65_536], vec![0; 65_536]],
        icmp: [vec![0; 256], vec![0; 256]],
        protocols: vec![0; 256],
        cells: vec![VerdictWord::allow(0); 2],
    };
    Plan {
        mode: Mode::Enforce,
        builtins: 0,
        peers: peers(prefixes.collect()),
        rows: 2,
        vlans: Vec::new(),
        directions: [ingress, egress],
        rules: vec![
            rule("", "no-policy", None, true),
            rule("p", "default-deny", Some(Direction::Ingress), false),
            rule("p", "ingress[0]", Some(Direction::Ingress), true),
        ],
    }
}

/// Peers of class 1, everybody else of class 0.
pub fn peers(mut prefixes: Vec<IpNet>) -> Runs {
    prefixes.sort_unstable();
    let classes: Vec<_> = prefixes.into_iter().map(|prefix| (prefix, 1)).collect();
    Runs::of(&classes)
}

fn rule(policy: &str, rule: &str, direction: Option<Direction>, allow: bool) -> PlanRule {
    PlanRule {
        policy: policy.into(),
        rule: rule.into(),
        origin: String::new(),
        direction,
        allow,
        match_type: "all",
        rate: None,
        vlans: None,
        log: String::new(),
    }
}
