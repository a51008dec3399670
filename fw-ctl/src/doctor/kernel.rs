//! What is said of the kernel.
//!
//! Versions are those in which mainline got a feature; the kernels of enterprise distributions
//! may have it earlier. Where it can be tried, the rehearsal says more (`datapath`).

use super::facts::Kernel;
use super::{Finding, Group, Level};

fn finding(subject: &str, level: Level, what: impl Into<String>) -> Finding {
    Finding::new(Group::Kernel, subject, level, what)
}

pub fn findings(kernel: &Kernel) -> Vec<Finding> {
    if !kernel.is_supported() {
        let what = format!(
            "Linux {} is too old: fw-ctl needs 5.10 or newer",
            kernel.release
        );
        return vec![
            finding("release", Level::Missing, what)
                .why("before 5.10 there is no ring buffer, no link for XDP or no test of programs")
                .advice("upgrade the kernel"),
        ];
    }
    let mut findings = vec![finding(
        "release",
        Level::Ok,
        format!("Linux {}", kernel.release),
    )];
    findings.extend(jit(kernel));
    findings.push(frags(kernel));
    if kernel.statistics == Some(1) {
        findings.push(
            finding(
                "BPF statistics",
                Level::Slow,
                "on: every run of a program is timed",
            )
            .why("kernel.bpf_stats_enabled is 1, which reads the clock twice for every packet")
            .advice("sysctl -w kernel.bpf_stats_enabled=0"),
        );
    }
    if let Some(mode) = kernel.lockdown.as_deref().filter(|mode| *mode != "none") {
        findings.push(
            finding("lockdown", Level::Note, mode)
                .why("it forbids BPF to read memory of the kernel, which fw-ctl does not do"),
        );
    }
    if kernel.realtime {
        findings.push(
            finding("PREEMPT_RT", Level::Note, "a real-time kernel")
                .why("packets are handled in threads: the same verdicts, later and more evenly"),
        );
    }
    findings
}

fn jit(kernel: &Kernel) -> Vec<Finding> {
    let subject = "BPF JIT";
    let compiled = match kernel.jit {
        Some(0) => finding(
            subject,
            Level::Slow,
            "off: every packet is judged by an interpreter",
        )
        .why("net.core.bpf_jit_enable is 0")
        .advice(
            "sysctl -w net.core.bpf_jit_enable=1, and a file in /etc/sysctl.d; then restart fw-ctl",
        ),
        Some(2) => finding(
            subject,
            Level::Slow,
            "on, and prints what it makes to the kernel's log",
        )
        .why("net.core.bpf_jit_enable is 2, which is for debugging the JIT")
        .advice("sysctl -w net.core.bpf_jit_enable=1"),
        Some(_) => finding(subject, Level::Ok, "on"),
        None => finding(subject, Level::Note, "not known").why(
            "net.core.bpf_jit_enable cannot be read here, as in a network namespace of its own",
        ),
    };
    let mut findings = vec![compiled];
    if kernel.jit_harden == Some(2) {
        findings.push(
            finding("BPF JIT hardening", Level::Slow, "for everybody's programs, also root's")
                .why("net.core.bpf_jit_harden is 2: constants are blinded, which makes code longer")
                .advice("sysctl -w net.core.bpf_jit_harden=1, which hardens unprivileged programs only; then restart fw-ctl"),
        );
    }
    findings
}

fn frags(kernel: &Kernel) -> Finding {
    let subject = "large frames in XDP";
    if kernel.is_at_least(5, 18) {
        return finding(
            subject,
            Level::Ok,
            "had (xdp.frags, by the kernel's version)",
        );
    }
    finding(subject, Level::Note, "not had (xdp.frags came with 5.18)").why(
        "native XDP serves frames that fit one page, MTU 3498 or so; TC serves interfaces with more",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(major: u32, minor: u32) -> Kernel {
        Kernel {
            release: format!("{major}.{minor}.7-test"),
            version: Some((major, minor)),
            jit: Some(1),
            jit_harden: Some(0),
            statistics: Some(0),
            lockdown: Some("none".into()),
            realtime: false,
        }
    }

    /// Subjects that are not ok, with their levels.
    fn said(kernel: &Kernel) -> Vec<(String, Level)> {
        findings(kernel)
            .into_iter()
            .filter(|finding| finding.level != Level::Ok)
            .map(|finding| (finding.subject, finding.level))
            .collect()
    }

    #[test]
    fn versions_decide_what_there_is() {
        let old = [("large frames in XDP", Level::Note)];
        for (version, expected) in [
            ((5, 4), &[("release", Level::Missing)][..]),
            ((5, 10), &old),
            ((5, 15), &old),
            ((5, 18), &[]),
            ((6, 12), &[]),
            ((7, 2), &[]),
        ] {
            let said = said(&kernel(version.0, version.1));
            let said: Vec<_> = said.iter().map(|(s, l)| (s.as_str(), *l)).collect();
            assert_eq!(said, expected, "{version:?}");
        }
    }

    #[test]
    fn a_kernel_that_is_too_old_is_named() {
        let finding = &findings(&kernel(4, 19))[0];
        assert_eq!(
            finding.what,
            "Linux 4.19.7-test is too old: fw-ctl needs 5.10 or newer"
        );
        assert_eq!(finding.advice.as_deref(), Some("upgrade the kernel"));
    }

    #[test]
    fn settings_that_cost_are_found() {
        let good = kernel(6, 12);
        for (kernel, subject, level) in [
            (
                Kernel {
                    jit: Some(0),
                    ..good.clone()
                },
                "BPF JIT",
                Level::Slow,
            ),
            (
                Kernel {
                    jit: Some(2),
                    ..good.clone()
                },
                "BPF JIT",
                Level::Slow,
            ),
            (
                Kernel {
                    jit: None,
                    ..good.clone()
                },
                "BPF JIT",
                Level::Note,
            ),
            (
                Kernel {
                    jit_harden: Some(2),
                    ..good.clone()
                },
                "BPF JIT hardening",
                Level::Slow,
            ),
            (
                Kernel {
                    statistics: Some(1),
                    ..good.clone()
                },
                "BPF statistics",
                Level::Slow,
            ),
            (
                Kernel {
                    lockdown: Some("integrity".into()),
                    ..good.clone()
                },
                "lockdown",
                Level::Note,
            ),
            (
                Kernel {
                    realtime: true,
                    ..good.clone()
                },
                "PREEMPT_RT",
                Level::Note,
            ),
        ] {
            assert_eq!(said(&kernel), [(subject.to_owned(), level)], "{kernel:?}");
        }
    }
}
