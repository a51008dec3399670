//! A share of the fault run (`sandbox faults`, all of it by `make test-faults`): what is
//! injected is left to chance, and each fault is looked at in its table.
//!
//! The binary is found as for `netns`. Without root or a binary the test says `skipped: …`;
//! with `FW_KERNEL_TESTS=require` that is a failure.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::path::Path;
use std::process::Command;

/// As many as fit into a minute; `FW_FAULTS` says another number.
const FAULTS: usize = 16;
/// `FW_FAULTS_SEED` says another.
const SEED: u64 = 1;

fn number<T: std::str::FromStr>(variable: &str, usual: T) -> T {
    let said = std::env::var(variable).ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(usual)
}

#[test]
fn nothing_is_passed_or_dropped_wrongly_and_nothing_is_lost_whatever_breaks() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let Some(binary) = sandbox::binary(&target) else {
        return;
    };
    let (faults, seed) = (number("FW_FAULTS", FAULTS), number("FW_FAULTS_SEED", SEED));
    let next = target.join("next-schema/fw-ctl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command
        .args(["faults", "--faults", &faults.to_string()])
        .args(["--seed", &seed.to_string(), "--fw-ctl"])
        .arg(binary);
    if next.is_file() {
        command.arg("--next").arg(next);
    }
    let output = command.output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{table}");
    // One kind of fault is called "all pins removed".
    let all = table.lines().find(|line| line.starts_with("all  "));
    let all: Vec<u64> = all
        .unwrap_or_else(|| panic!("{told}\n{table}"))
        .split_whitespace()
        .skip(1)
        .map(|cell| cell.parse().unwrap())
        .collect();
    let [injected, packets, _, _, _, passed, dropped, cut, ..] = all[..] else {
        panic!("{table}");
    };
    assert_eq!(injected, faults as u64, "{table}");
    assert!(packets > 100 * injected, "{table}");
    assert_eq!((passed, dropped, cut), (0, 0, 0), "{table}");
}
