//! Policy over every kind of device that a server may have, in kernels that are not this
//! machine's: bonds, VLANs, bridges, tunnels, with real connections. What is tried is in
//! `src/devices`; here it is run in a guest, and every line of it is looked at.
//!
//! The binary is found as for `netns`. Without QEMU, busybox or the kernel a test says
//! `skipped: …`; with `FW_KERNEL_TESTS=require` that is a failure.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sandbox::guest::{Guest, Kernel, on_the_outermost_kernels, or_skip};

/// What the scenarios are made of, where the kernel does not have it built in, and what
/// judges egress where there is no tcx.
const MODULES: [&str; 12] = [
    "8021q",
    "bonding",
    "bridge",
    "cls_bpf",
    "geneve",
    "ip_gre",
    "ipip",
    "macvlan",
    "sch_ingress",
    "veth",
    "vxlan",
    "wireguard",
];

/// For all scenarios in an emulated machine, beside other tests.
const LIMIT: Duration = Duration::from_mins(35);

/// The kernel would make tunnels nobody has asked for in each namespace.
const SCRIPT: &str = "
echo 2 >/proc/sys/net/core/fb_tunnels_only_for_init_net
sandbox devices --list ONLY >/out/scenarios
(
    sandbox devices --fw-ctl /bin/fw-ctl --policies /etc/policies ONLY
    echo $? >/out/code
) | tee /out/rows
";

/// What is tried if `FW_GUEST_EFFORT` asks for no more: a scenario takes ten seconds and more,
/// by emulation.
const USUAL: &str = "bond-802.3ad-vlan bond-active-backup-vlan-native qinq-native \
    vlan-on-used-nic-offloaded bridge-vlan-bond wireguard";

/// What `FW_DEVICES` names, or the usual ones, or all.
fn selection() -> String {
    let all = std::env::var("FW_GUEST_EFFORT").is_ok_and(|effort| effort != "1");
    match std::env::var("FW_DEVICES") {
        Ok(names) => names,
        Err(_) if all => String::new(),
        Err(_) => USUAL.to_owned(),
    }
}

/// Runs the scenarios with one kernel.
fn policy_holds_with(kernel: &Kernel) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let Some(binary) = sandbox::binary(&root.join("target")) else {
        return;
    };
    let series = kernel.release();
    let guest = Guest::new(kernel)
        .nics(4)
        .program(binary)
        .program(env!("CARGO_BIN_EXE_sandbox"))
        .program("ip")
        .program("ethtool")
        .file(root.join("config/policies/rke2"), "/etc/policies");
    let guest = MODULES.iter().fold(guest, |guest, name| guest.module(name));
    let only: String = selection()
        .split_whitespace()
        .map(|name| format!(" --only {name}"))
        .collect();
    let script = SCRIPT.replace(" ONLY", &only);
    let Some(output) = or_skip(guest.run(&script, LIMIT)) else {
        return;
    };
    assert_eq!(output.status, 0, "{}", output.console);

    let rows = output.file("rows").unwrap();
    let mut good = BTreeMap::<&str, usize>::new();
    let (mut wrong, mut impossible) = (Vec::new(), Vec::new());
    for row in rows.lines() {
        let columns: Vec<_> = row.split('\t').collect();
        match columns[..] {
            ["ok", scenario, _, expected, got] => {
                assert!(!expected.is_empty() && !got.is_empty(), "{row}");
                *good.entry(scenario).or_default() += 1;
            }
            ["data", scenario, "not tried", why] => {
                eprintln!("{series} {scenario}: not tried: {why}");
                impossible.push(scenario);
            }
            ["data", scenario, what, value] => eprintln!("{series} {scenario}: {what}: {value}"),
            ["WRONG", ..] => wrong.push(row),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "Linux {series}:\n{}", wrong.join("\n"));
    assert_eq!(
        output.file("code").unwrap(),
        "0\n",
        "{rows}{}",
        output.console
    );
    let scenarios = output.file("scenarios").unwrap();
    assert!(
        only.is_empty() == (scenarios.lines().count() >= 20),
        "{scenarios}"
    );
    for scenario in scenarios.lines() {
        // Each of them looks at the modes, and tries to get through and to be refused.
        let checks = good.get(scenario).copied().unwrap_or(0);
        assert!(
            checks >= 2 || impossible.contains(&scenario),
            "{scenario}: {checks} checks\n{rows}"
        );
    }
}

#[test]
fn policy_holds_over_every_device_in_guests() {
    on_the_outermost_kernels(policy_holds_with);
}
