//! What is said of the rights of this process, and of where the daemon keeps its pins.

use super::facts::{BpfFileSystem, Kernel, Rights};
use super::{Finding, Group, Level};

/// Less than the tables take on any machine.
const LITTLE: u64 = 64 << 20;

fn finding(subject: &str, level: Level, what: impl Into<String>) -> Finding {
    Finding::new(Group::Rights, subject, level, what)
}

pub fn findings(rights: &Rights, kernel: &Kernel) -> Vec<Finding> {
    if !kernel.is_supported() {
        return Vec::new();
    }
    let mut findings = vec![capabilities(rights), pins(rights)];
    findings.extend(memlock(rights, kernel));
    findings
}

fn capabilities(rights: &Rights) -> Finding {
    let subject = "capabilities";
    match (&rights.lacking, rights.root) {
        (None, _) => finding(subject, Level::Ok, "all that fw-ctl needs"),
        (Some(lacking), false) => finding(
            subject,
            Level::Note,
            format!("this process lacks {lacking}"),
        )
        .why("so nothing was tried, and programs of others cannot be named")
        .advice("sudo fw-ctl doctor"),
        (Some(lacking), true) => finding(
            subject,
            Level::Missing,
            format!("root lacks {lacking} here"),
        )
        .why("a container or a unit has taken them away")
        .advice("grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"),
    }
}

fn pins(rights: &Rights) -> Finding {
    let subject = "BPF file system";
    let place = rights.pin_dir.display();
    match rights.bpf_file_system {
        BpfFileSystem::Mounted => finding(subject, Level::Ok, format!("holds {place}")),
        BpfFileSystem::ByDaemon => finding(subject, Level::Note, "not mounted at /sys/fs/bpf")
            .why("the daemon mounts it when it starts, if it may (CAP_SYS_ADMIN)")
            .advice("mount -t bpf bpf /sys/fs/bpf"),
        BpfFileSystem::Missing => {
            finding(subject, Level::Missing, format!("{place} is not on one"))
                .why("what is attached must outlive the daemon, and only pins there do")
                .advice("mount -t bpf bpf /sys/fs/bpf, and let paths.pin_dir be below it")
        }
    }
}

/// Before 5.11 the tables count as locked memory of who makes them (`RLIMIT_MEMLOCK`). Loading
/// raises the limit where that is allowed.
fn memlock(rights: &Rights, kernel: &Kernel) -> Option<Finding> {
    let subject = "locked memory";
    let limit = rights.memlock.filter(|_| !kernel.is_at_least(5, 11))?;
    if rights.may_raise || !rights.root {
        return None;
    }
    let what = format!("at most {} KiB", limit >> 10);
    let level = match limit < LITTLE {
        true => Level::Missing,
        false => Level::Note,
    };
    let why = "before Linux 5.11 the tables count as locked memory, and without \
               CAP_SYS_RESOURCE the limit cannot be raised";
    let advice = "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited";
    Some(finding(subject, level, what).why(why).advice(advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Rights {
        Rights {
            root: true,
            pin_dir: "/sys/fs/bpf/fw-ctl".into(),
            ..Rights::default()
        }
    }

    fn kernel(major: u32, minor: u32) -> Kernel {
        Kernel {
            version: Some((major, minor)),
            ..Kernel::default()
        }
    }

    fn said(rights: &Rights, kernel: &Kernel) -> Vec<(String, Level)> {
        findings(rights, kernel)
            .into_iter()
            .filter(|finding| finding.level != Level::Ok)
            .map(|finding| (finding.subject, finding.level))
            .collect()
    }

    #[test]
    fn a_user_is_told_to_be_root_and_root_what_it_lacks() {
        let lacking = |is_root| Rights {
            root: is_root,
            lacking: Some("CAP_BPF".into()),
            ..root()
        };
        let of = |rights: &Rights| said(rights, &kernel(6, 1));
        assert_eq!(of(&root()), []);
        assert_eq!(of(&lacking(false)), [("capabilities".into(), Level::Note)]);
        assert_eq!(
            of(&lacking(true)),
            [("capabilities".into(), Level::Missing)]
        );
    }

    #[test]
    fn pins_need_their_file_system() {
        for (there, expected) in [
            (BpfFileSystem::ByDaemon, Level::Note),
            (BpfFileSystem::Missing, Level::Missing),
        ] {
            let rights = Rights {
                bpf_file_system: there,
                ..root()
            };
            let said = said(&rights, &kernel(6, 1));
            assert_eq!(said, [("BPF file system".into(), expected)]);
        }
    }

    #[test]
    fn locked_memory_matters_before_5_11_where_it_cannot_be_raised() {
        let subject = "locked memory".to_owned();
        let limited = |bytes, may_raise| Rights {
            memlock: Some(bytes),
            may_raise,
            ..root()
        };
        for (rights, version, expected) in [
            (limited(64 << 10, false), (5, 10), Some(Level::Missing)),
            (limited(1 << 30, false), (5, 10), Some(Level::Note)),
            (limited(64 << 10, true), (5, 10), None),
            (root(), (5, 10), None),
            (limited(64 << 10, false), (5, 11), None),
        ] {
            let expected: Vec<_> = expected
                .map(|level| (subject.clone(), level))
                .into_iter()
                .collect();
            let said = said(&rights, &kernel(version.0, version.1));
            assert_eq!(said, expected, "{rights:?} {version:?}");
        }
    }
}
