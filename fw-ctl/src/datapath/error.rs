//! What can go wrong between user space and the kernel, in the operator's words.
//!
//! Every message says what failed on what, why, and what to try. The kernel's
//! error numbers are translated here and nowhere else.

use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::links::LinkError;
use aya::programs::{ProgramError, TcError, XdpError};
use aya::sys::SyscallError;
use thiserror::Error;

/// Lines of the verifier's log that are shown: its verdict stands at the end.
const VERIFIER_TAIL: usize = 12;

/// An operation on the datapath failed.
#[derive(Debug, Error)]
pub enum DatapathError {
    /// The binary was built without the programs.
    #[error("this fw-ctl has no datapath: {0}")]
    NoPrograms(String),
    /// The kernel is too old.
    #[error("Linux {found} is too old: fw-ctl needs 5.10 or newer\ntry: upgrade the kernel")]
    Kernel {
        /// The release that runs.
        found: String,
    },
    /// Capabilities are missing.
    #[error("{what}: not permitted, because this process lacks {missing}\ntry: {help}")]
    Capabilities {
        /// What was tried.
        what: String,
        /// The capabilities, by name.
        missing: String,
        /// How to get them.
        help: &'static str,
    },
    /// The kernel's verifier refused a program.
    #[error(
        "the kernel refused to load the program {program}\nwhy: {log}\ntry: {help}",
        help = if *.perfmon {
            "report this as a bug of fw-ctl, with the kernel's version"
        } else {
            "grant CAP_PERFMON: without it the verifier refuses pointer arithmetic on packets"
        }
    )]
    Verifier {
        /// Name of the program.
        program: String,
        /// The end of the verifier's log.
        log: String,
        /// Whether the process has `CAP_PERFMON`.
        perfmon: bool,
    },
    /// The pin directory is not on a BPF file system.
    #[error("cannot keep the datapath in {path}: {why}\ntry: mount -t bpf bpf /sys/fs/bpf")]
    NoBpfFileSystem {
        /// The pin directory.
        path: PathBuf,
        /// Why it cannot be used.
        why: String,
    },
    /// Another process uses the pins.
    #[error(
        "another fw-ctl uses {path}\ntry: stop it (systemctl stop fw-ctl), or give this one its own --pin-dir"
    )]
    Busy {
        /// The pin directory.
        path: PathBuf,
    },
    /// Pinned tables have another layout than this version's.
    #[error(
        "the tables pinned in {path} are not those of this version: {why}\ntry: fw-ctl detach (this opens the firewall), then start it again"
    )]
    ForeignPins {
        /// The directory of the tables.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// Somebody has removed pinned tables, and this process cannot make them again.
    #[error(
        "of the tables pinned in {path}, {name} was removed: what filters can be neither read nor changed\ntry: systemctl start fw-ctl, which makes them again while the filter goes on; or fw-ctl detach (this opens the firewall)"
    )]
    Incomplete {
        /// The directory of the tables.
        path: PathBuf,
        /// The first that is missing.
        name: &'static str,
    },
    /// A newer version filters.
    #[error(
        "{path} has programs of a newer version of fw-ctl, which filter (schema {found}; this version knows up to {known} and could not keep the connections that they remember): nothing was changed\ntry: start that version again; or fw-ctl detach (this opens the firewall), then this one"
    )]
    NewerSchema {
        /// The directory of its pins.
        path: PathBuf,
        /// Its number.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Programs of another version filter, and this one cannot change their mode.
    #[error(
        "programs of another version of fw-ctl filter (schema {schema}), and their mode cannot be changed by this one\ntry: fw-ctl of that version; or the daemon of this one, which takes over from an older one; or fw-ctl detach (this opens the firewall)"
    )]
    OtherSchema {
        /// Its number.
        schema: u32,
    },
    /// What is pinned filters another network namespace.
    #[error(
        "the links pinned in {path} are on interfaces of another network namespace (one of them has the index {index} there): taking them over would open that node\ntry: paths.pin_dir with a directory for this network namespace alone; or, if that other one is not to be filtered any more, fw-ctl detach"
    )]
    OtherNamespace {
        /// The directory of the links.
        path: PathBuf,
        /// Index of an interface there.
        index: u32,
    },
    /// There is no such interface.
    #[error("interface {name}: there is no such interface here\ntry: ip link")]
    NoInterface {
        /// Its name.
        name: String,
    },
    /// Another instance filters the interface: each packet would be judged twice.
    #[error(
        "interface {interface}: another fw-ctl filters it already (its program {id} is on {hook}, and its pins are in another directory)\ntry: stop that one and run fw-ctl detach --pin-dir with its directory; or leave the interface to it with interfaces.exclude"
    )]
    OtherInstance {
        /// Name of the interface.
        interface: String,
        /// Id of its program.
        id: u32,
        /// `TC ingress`, `TC egress` or `XDP`.
        hook: &'static str,
    },
    /// The wished XDP mode cannot be had.
    #[error(
        "interface {interface}: no {mode} XDP: {why}\ntry: interfaces.xdp = \"auto\", which filters in TC where native XDP is not to be had"
    )]
    NoXdp {
        /// Name of the interface.
        interface: String,
        /// `native` or `generic`.
        mode: &'static str,
        /// Why not.
        why: String,
    },
    /// There is nothing whose mode could change.
    #[error(
        "the mode cannot be changed: no plan is in force, so nothing is filtered\ntry: fw-ctl reload, and fw-ctl status for what is wrong with the policies"
    )]
    NoPlan,
    /// The plan before is still needed.
    #[error(
        "generation {number} is on trial: until it is confirmed or left there is no room for another\ntry: fw-ctl confirm, or fw-ctl rollback"
    )]
    OnTrial {
        /// The generation.
        number: u64,
    },
    /// The plan is larger than a table.
    #[error(
        "the plan does not fit: {table} would need {needed} entries and has room for {room}\ntry: fewer or coarser rules; nothing was changed"
    )]
    Capacity {
        /// What is too small.
        table: &'static str,
        /// Entries that the plan has.
        needed: usize,
        /// Entries that the table has.
        room: usize,
    },
    /// The node has more addresses than a table.
    #[error(
        "the node has {needed} {what} of its own, and fw-ctl has room for {room}: what is for the new ones is not judged\ntry: ip route show table local"
    )]
    TooManyAddresses {
        /// Addresses or networks.
        what: &'static str,
        /// How many there are.
        needed: usize,
        /// Entries that the table has.
        room: u32,
    },
    /// A table of single addresses has no room for another one.
    #[error(
        "the table of {what} is full: it has room for {room}\ntry: fw-ctl ban list, and deny what is many by CIDR lists and a policy"
    )]
    Full {
        /// What it is a table of.
        what: &'static str,
        /// Addresses that it has room for.
        room: u32,
    },
    /// The plan contradicts itself.
    #[error(
        "the compiled plan is inconsistent: {0}\ntry: report this as a bug; nothing was changed"
    )]
    Plan(String),
    /// The kernel returned something other than what was written.
    #[error(
        "the kernel does not hold what was written: {what}\ntry: report this as a bug; the plan in force was not changed"
    )]
    Differs {
        /// The table, and both values.
        what: String,
    },
    /// The programs do something other than what the plan says.
    #[error(
        "the programs do not judge as the plan says: {what}\ntry: report this as a bug; the plan in force was not changed"
    )]
    SelfTest {
        /// The packet, and both verdicts.
        what: String,
    },
    /// Any other refusal of the kernel.
    #[error("{what}: {why}{}", help.map(|h| format!("\ntry: {h}")).unwrap_or_default())]
    Refused {
        /// What was tried, on what.
        what: String,
        /// Why it failed.
        why: String,
        /// What to try.
        help: Option<&'static str>,
    },
}

impl DatapathError {
    /// The exit code of a command that fails with this (see INTERFACE: 4 refused
    /// for safety, 5 kernel unreachable or unsupported).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::OtherInstance { .. }
            | Self::OtherNamespace { .. }
            | Self::NewerSchema { .. }
            | Self::OtherSchema { .. }
            | Self::Incomplete { .. }
            | Self::Capacity { .. }
            | Self::Full { .. }
            | Self::Plan(_)
            | Self::SelfTest { .. }
            | Self::OnTrial { .. }
            | Self::NoPlan => 4,
            _ => 5,
        }
    }

    /// From an error number of the kernel; `what` says what was tried, on what.
    #[must_use]
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        let what = what.into();
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Self::not_permitted(what);
        }
        let (why, help) = explain(error);
        Self::Refused { what, why, help }
    }

    /// From anything that aya returns.
    #[must_use]
    pub fn aya(what: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        let what = what.into();
        if let Some((program, log)) = rejected(error) {
            return Self::Verifier {
                program: program.unwrap_or_else(|| {
                    let name = what.strip_prefix("loading the program ");
                    name.unwrap_or(&what).to_owned()
                }),
                log,
                perfmon: super::host::lacks(super::host::CAP_PERFMON).is_none(),
            };
        }
        match io_cause(error) {
            Some(cause) => Self::io(what, cause),
            None => Self::Refused {
                what,
                why: error.to_string(),
                help: None,
            },
        }
    }

    fn not_permitted(what: String) -> Self {
        match super::host::missing_capabilities() {
            Some(missing) => Self::Capabilities {
                what,
                missing,
                help: "run it as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
            },
            None => Self::Refused {
                what,
                why: "the kernel does not permit it, although this process has the capabilities \
                      (inside a user namespace or a locked-down container they do not count)"
                    .into(),
                help: Some("run it as root of the host, outside any user namespace"),
            },
        }
    }
}

/// The error number behind an error of aya, wherever it is kept.
pub(super) fn io_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return Some(io);
    }
    // `error(transparent)` hides the wrapped error from `source()`.
    let hidden: Option<&(dyn std::error::Error + 'static)> =
        if let Some(e) = error.downcast_ref::<EbpfError>() {
            match e {
                EbpfError::MapError(e) => Some(e),
                EbpfError::ProgramError(e) => Some(e),
                _ => None,
            }
        } else if let Some(e) = error.downcast_ref::<ProgramError>() {
            match e {
                ProgramError::SyscallError(e) => Some(e),
                ProgramError::MapError(e) => Some(e),
                ProgramError::IOError(e) => Some(e),
                ProgramError::LoadError { io_error, .. } => Some(io_error),
                ProgramError::XdpError(XdpError::NetlinkError(e)) => Some(e),
                ProgramError::TcError(TcError::NetlinkError(e)) => Some(e),
                ProgramError::TcError(TcError::IoError(e)) => Some(e),
                ProgramError::NetlinkError(e) => Some(e),
                _ => None,
            }
        } else if let Some(e) = error.downcast_ref::<MapError>() {
            match e {
                MapError::SyscallError(e) => Some(e),
                MapError::IoError(e) => Some(e),
                MapError::CreateError { io_error, .. } => Some(io_error),
                MapError::PinError { error, .. } => Some(error),
                _ => None,
            }
        } else if let Some(PinError::SyscallError(e)) = error.downcast_ref::<PinError>() {
            Some(e)
        } else if let Some(LinkError::SyscallError(e)) = error.downcast_ref::<LinkError>() {
            Some(e)
        } else if let Some(e) = error.downcast_ref::<SyscallError>() {
            Some(&e.io_error)
        } else {
            error.source()
        };
    hidden.and_then(io_cause)
}

/// The end of the verifier's log, if the verifier refused the program.
fn rejected(error: &(dyn std::error::Error + 'static)) -> Option<(Option<String>, String)> {
    let program_error = match error.downcast_ref::<EbpfError>() {
        Some(EbpfError::ProgramError(e)) => Some(e),
        _ => error.downcast_ref::<ProgramError>(),
    };
    let Some(ProgramError::LoadError {
        io_error,
        verifier_log,
    }) = program_error
    else {
        return None;
    };
    let log = verifier_log.to_string();
    // EPERM is decided before the verifier looks at the program.
    (io_error.raw_os_error() != Some(libc::EPERM) && !log.trim().is_empty())
        .then(|| (None, tail(&log)))
}

/// The last lines of a log, without the statistics that close it.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| {
            let line = line.trim();
            !line.is_empty()
                && !line.starts_with("processed ")
                && !line.starts_with("verification time")
                && !line.starts_with("stack depth")
        })
        .collect();
    lines[lines.len().saturating_sub(VERIFIER_TAIL)..].join("\n     ")
}

/// A sentence for an error number, and what to try.
fn explain(error: &io::Error) -> (String, Option<&'static str>) {
    let known: (&str, Option<&'static str>) = match error.raw_os_error() {
        Some(libc::ENOMEM) => (
            "the kernel has not enough memory for it, or the memory limit of the service is reached",
            Some("raise MemoryMax= (BPF tables count) or, before Linux 5.11, LimitMEMLOCK="),
        ),
        Some(libc::E2BIG | libc::ENOSPC) => ("the table is full", Some("use fewer, coarser rules")),
        Some(libc::EOPNOTSUPP) => ("the driver or the kernel does not support it", None),
        Some(libc::ENODEV) => ("the interface has gone", Some("ip link")),
        Some(libc::EINVAL) => ("the kernel found the request invalid", None),
        Some(libc::ENOENT) => ("it does not exist", None),
        Some(libc::EBUSY) => ("it is in use", None),
        Some(libc::EEXIST) => ("it exists already", None),
        Some(libc::ENOSYS) => (
            "the kernel was built without the bpf() system call",
            Some("use a kernel with CONFIG_BPF_SYSCALL=y"),
        ),
        Some(libc::EROFS) => (
            "the file system is read-only",
            Some("remove ProtectKernelTunables= from the unit: it makes /sys/fs/bpf read-only"),
        ),
        _ => return (words(error), None),
    };
    (known.0.to_owned(), known.1)
}

/// The system's own words, without the number.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_become_sentences() {
        let error = DatapathError::io(
            "interface eth1: attaching native XDP",
            &io::Error::from_raw_os_error(libc::EOPNOTSUPP),
        );
        assert_eq!(
            error.to_string(),
            "interface eth1: attaching native XDP: the driver or the kernel does not support it"
        );
        let other = DatapathError::io("reading", &io::Error::from_raw_os_error(libc::EPIPE));
        assert_eq!(other.to_string(), "reading: broken pipe");
    }

    #[test]
    fn the_number_is_found_through_every_layer_of_aya() {
        let inner = SyscallError {
            call: "bpf_link_create",
            io_error: io::Error::from_raw_os_error(libc::EBUSY),
        };
        let error = EbpfError::ProgramError(ProgramError::SyscallError(inner));
        let cause = io_cause(&error).expect("an error number");
        assert_eq!(cause.raw_os_error(), Some(libc::EBUSY));
        let error = MapError::PinError {
            name: None,
            error: PinError::SyscallError(SyscallError {
                call: "BPF_OBJ_PIN",
                io_error: io::Error::from_raw_os_error(libc::EPERM),
            }),
        };
        assert_eq!(
            io_cause(&error).and_then(io::Error::raw_os_error),
            Some(libc::EPERM)
        );
    }

    #[test]
    fn the_verifiers_verdict_is_kept_and_its_statistics_are_not() {
        let log = (0..40)
            .map(|i| format!("{i}: (07) r1 += 1\n"))
            .collect::<String>()
            + "R1 pointer arithmetic prohibited\nprocessed 41 insns (limit 1000000)\n";
        let tail = tail(&log);
        assert!(tail.ends_with("R1 pointer arithmetic prohibited"));
        assert_eq!(tail.lines().count(), VERIFIER_TAIL);
    }

    #[test]
    fn refusals_for_safety_have_their_own_exit_code() {
        let other = DatapathError::OtherInstance {
            interface: "eth0".into(),
            id: 7,
            hook: "XDP",
        };
        assert_eq!(other.exit_code(), 4);
        assert!(other.to_string().contains("program 7 is on XDP"));
        assert_eq!(DatapathError::NoPrograms(String::new()).exit_code(), 5);
    }
}
