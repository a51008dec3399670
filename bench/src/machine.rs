//! What the benchmark ran on: without it, its numbers say nothing.

use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

/// The machine, as far as it matters for the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// `2026-11-21`.
    pub date: String,
    /// Model of the CPU.
    pub cpu: String,
    /// CPUs that the system shows.
    pub cpus: usize,
    /// CPUs that share a core with the measuring one, or are taken for it.
    pub siblings: Vec<usize>,
    /// `/proc/sys/kernel/osrelease`.
    pub kernel: String,
    /// What the kernel does against speculation that costs each call and return.
    pub mitigations: String,
    /// Whether it is a virtual machine.
    pub is_virtual: bool,
    /// Whether the measuring thread ran before all others (`SCHED_FIFO`).
    pub realtime: bool,
    /// Load of the last minute when it began: other work on the machine.
    pub load: f64,
    /// Commit of the sources, if known.
    pub commit: String,
    /// `release` or `debug`: how the daemon was built does not touch the datapath.
    pub build: String,
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = ["model name", "Model", "CPU implementer"]
            .iter()
            .find_map(|field| {
                cpuinfo
                    .lines()
                    .find_map(|line| line.strip_prefix(field)?.split_once(": "))
            })
            .map_or("unknown", |(_, value)| value);
        Self {
            date: today(),
            cpu: model.to_owned(),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            siblings: crate::realtime::siblings(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            mitigations: mitigations(),
            is_virtual: is_virtual(),
            realtime: crate::realtime::allowed(),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or_default(),
            commit: said(&["git", "rev-parse", "--short", "HEAD"]),
            build: match cfg!(debug_assertions) {
                true => "debug",
                false => "release",
            }
            .to_owned(),
        }
    }
}

/// Whether the CPU says that a hypervisor is below it.
#[must_use]
pub fn is_virtual() -> bool {
    fs::read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor"))
}

/// How indirect calls and returns are compiled: retpolines alone make a bare drop
/// several times as expensive.
fn mitigations() -> String {
    ["spectre_v2", "spec_rstack_overflow"]
        .iter()
        .filter_map(|name| {
            let path = format!("/sys/devices/system/cpu/vulnerabilities/{name}");
            let text = fs::read_to_string(path).ok()?;
            Some(format!("{name}: {}", text.trim()))
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// Today in UTC, as `2026-11-21`.
fn today() -> String {
    said(&["date", "-u", "+%F"])
}

/// What a command says, or nothing.
fn said(command: &[&str]) -> String {
    Command::new(command[0])
        .args(&command[1..])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
