//! What is said of programs and tables: whether this kernel takes them, and what they cost.

use super::facts::{Datapath, Kernel, Rehearsal};
use super::{Finding, Group, Level};
use crate::datapath::host::TcKind;

fn finding(subject: &str, level: Level, what: impl Into<String>) -> Finding {
    Finding::new(Group::Datapath, subject, level, what)
}

pub fn findings(datapath: &Datapath, kernel: &Kernel) -> Vec<Finding> {
    if !kernel.is_supported() {
        return Vec::new();
    }
    let told = |subject: &str, message: &str| {
        Finding::told(Group::Datapath, subject, Level::Missing, message)
    };
    match &datapath.rehearsal {
        Rehearsal::Skipped(why) => vec![
            finding("programs", Level::Note, "not tried").why(why),
            tc(datapath.tc, "by the kernel's version"),
        ],
        Rehearsal::Failed(message) => vec![told("programs", message)],
        Rehearsal::Loaded {
            memory,
            xdp,
            tc: hook,
        } => {
            let mut findings = vec![finding(
                "programs",
                Level::Ok,
                "this kernel loads them (tried in a network namespace of its own)",
            )];
            findings.push(match xdp {
                Ok(()) => finding("XDP", Level::Ok, "attaches by a link (tried)"),
                Err(message) => told("XDP", message),
            });
            findings.push(match hook {
                Ok(()) => tc(datapath.tc, "tried"),
                Err(message) => lacking_tc(datapath.tc, told("TC", message)),
            });
            findings.push(memory_of(*memory, datapath.cpus));
            findings
        }
    }
}

fn tc(kind: TcKind, how: &str) -> Finding {
    match kind {
        TcKind::Tcx => finding("TC", Level::Ok, format!("attaches by a link, TCX ({how})")),
        TcKind::Clsact => finding("TC", Level::Ok, format!("attaches by a filter, clsact ({how})"))
            .why("links (TCX) came with 6.6; a filter can be removed by anybody with tc, which the daemon notices and repairs"),
    }
}

/// Without TCX two modules are needed, which minimal kernels leave out.
fn lacking_tc(kind: TcKind, finding: Finding) -> Finding {
    match kind {
        TcKind::Tcx => finding,
        TcKind::Clsact => finding.advice(
            "modprobe sch_ingress cls_bpf; where they are not there, install the package with \
             the further modules of this kernel",
        ),
    }
}

fn memory_of(bytes: u64, cpus: usize) -> Finding {
    let mib = bytes.div_ceil(1 << 20);
    finding(
        "memory",
        Level::Ok,
        format!("the tables take {mib} MiB with {cpus} CPUs"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tc: TcKind, rehearsal: Rehearsal) -> Vec<(String, Level, Option<String>)> {
        let datapath = Datapath {
            tc,
            rehearsal,
            cpus: 4,
        };
        findings(&datapath, &Kernel::default())
            .into_iter()
            .filter(|finding| finding.level != Level::Ok)
            .map(|finding| (finding.subject, finding.level, finding.advice))
            .collect()
    }

    fn loaded(xdp: Result<(), String>, tc: Result<(), String>) -> Rehearsal {
        Rehearsal::Loaded {
            memory: 20 << 20,
            xdp,
            tc,
        }
    }

    #[test]
    fn what_was_tried_is_told() {
        assert_eq!(said(TcKind::Tcx, loaded(Ok(()), Ok(()))), []);
        let failed = Rehearsal::Failed("refused\ntry: another kernel".into());
        assert_eq!(
            said(TcKind::Tcx, failed),
            [(
                "programs".into(),
                Level::Missing,
                Some("another kernel".into())
            )]
        );
        let xdp = said(TcKind::Tcx, loaded(Err("no XDP".into()), Ok(())));
        assert_eq!(xdp, [("XDP".into(), Level::Missing, None)]);
        let skipped = said(TcKind::Clsact, Rehearsal::Skipped("no root".into()));
        assert_eq!(skipped, [("programs".into(), Level::Note, None)]);
    }

    #[test]
    fn without_tcx_the_modules_are_named() {
        let refused = || loaded(Ok(()), Err("it does not exist".into()));
        let [(subject, level, advice)] = &said(TcKind::Clsact, refused())[..] else {
            panic!("one finding");
        };
        assert_eq!((subject.as_str(), *level), ("TC", Level::Missing));
        assert!(
            advice
                .as_deref()
                .is_some_and(|advice| advice.contains("modprobe sch_ingress cls_bpf"))
        );
        assert_eq!(said(TcKind::Tcx, refused())[0].2, None);
    }

    #[test]
    fn memory_is_rounded_up() {
        assert_eq!(
            memory_of((1 << 20) + 1, 8).what,
            "the tables take 2 MiB with 8 CPUs"
        );
    }
}
