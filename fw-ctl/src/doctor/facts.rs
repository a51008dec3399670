//! What is known of a machine, as plain values.

use std::path::PathBuf;

use fw_common::wire::Direction;

use crate::config::XdpSetting;
use crate::daemon::status::Status;
use crate::datapath::Ingress;
use crate::datapath::host::TcKind;
use crate::ethtool::{Channels, Features};
use crate::netlink::Framing;

/// Everything.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The kernel.
    pub kernel: Kernel,
    /// What this process may.
    pub rights: Rights,
    /// Programs and tables.
    pub datapath: Datapath,
    /// Interfaces that are filtered or would be, members of theirs, and gaps; or why they cannot
    /// be listed.
    pub interfaces: Result<Vec<Interface>, String>,
    /// `interfaces.xdp` of the configuration.
    pub xdp: XdpSetting,
    /// CPUs that run.
    pub cpus: usize,
    /// The daemon.
    pub daemon: Daemon,
}

/// The kernel that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// `6.1.0-18-amd64`.
    pub release: String,
    /// Major and minor number of it; `None` if it has none.
    pub version: Option<(u32, u32)>,
    /// `net.core.bpf_jit_enable`; `None`: it cannot be read, as in the network namespace of a
    /// container.
    pub jit: Option<u32>,
    /// `net.core.bpf_jit_harden`; only root can read it.
    pub jit_harden: Option<u32>,
    /// `kernel.bpf_stats_enabled`
    pub statistics: Option<u32>,
    /// The lockdown mode: `none`, `integrity`, `confidentiality`.
    pub lockdown: Option<String>,
    /// It was built with `PREEMPT_RT`.
    pub realtime: bool,
}

impl Kernel {
    /// Whether it is at least this one. One without a readable version is taken for a new one:
    /// what does not work tells by itself.
    #[must_use]
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        self.version.is_none_or(|version| version >= (major, minor))
    }

    /// Whether fw-ctl runs on it.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.is_at_least(5, 10)
    }
}

/// What this process may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// It is root's.
    pub root: bool,
    /// The capabilities that the daemon needs and this process lacks.
    pub lacking: Option<String>,
    /// Most bytes that may be locked in memory (the hard limit); `None`: any number.
    pub memlock: Option<u64>,
    /// It may raise that (`CAP_SYS_RESOURCE`).
    pub may_raise: bool,
    /// Where the daemon pins.
    pub pin_dir: PathBuf,
    /// Whether that is on a BPF file system.
    pub bpf_file_system: BpfFileSystem,
}

/// What is mounted where the daemon pins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BpfFileSystem {
    /// A BPF file system.
    #[default]
    Mounted,
    /// None, but the daemon mounts it there itself.
    ByDaemon,
    /// None.
    Missing,
}

/// Programs and tables.
#[derive(Clone, Debug)]
pub struct Datapath {
    /// How programs get onto the TC hooks.
    pub tc: TcKind,
    /// What came of trying it.
    pub rehearsal: Rehearsal,
    /// CPUs that there may ever be: tables per CPU are as many times as large.
    pub cpus: usize,
}

/// The datapath loaded and attached to the loopback device of a network namespace of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// It was not tried, and why.
    Skipped(String),
    /// Programs and tables could not be loaded.
    Failed(String),
    /// They were loaded.
    Loaded {
        /// What the tables take, in bytes.
        memory: u64,
        /// Whether XDP could be attached.
        xdp: Result<(), String>,
        /// Whether TC could be attached.
        tc: Result<(), String>,
    },
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `veth`, `bond`, `vlan`, …; empty for hardware.
    pub kind: String,
    /// What its frames begin with.
    pub framing: Framing,
    /// Why it is looked at.
    pub role: Role,
    /// It is administratively up.
    pub up: bool,
    /// Its driver.
    pub driver: Option<String>,
    /// Its MTU.
    pub mtu: u32,
    /// Where the daemon judges its ingress.
    pub judged: Option<Judged>,
    /// What its driver does.
    pub features: Features,
    /// Its queues.
    pub channels: Option<Channels>,
    /// Interfaces that take its tags off: VLANs on it, or on the bond or bridge that it belongs
    /// to.
    pub vlans: Vec<String>,
    /// The XDP program on it, if it is not ours.
    pub foreign_xdp: Option<ForeignXdp>,
    /// The programs on its TC hooks in the order in which they run, ours among them.
    pub tc: Vec<TcProgram>,
    /// If it is a bond.
    pub bond: Option<Bond>,
}

/// Why an interface is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It is filtered, or would be.
    #[default]
    Filtered,
    /// It belongs to one that is.
    Member {
        /// Its name.
        of: String,
    },
    /// A bond, team or bridge in whose place others are filtered.
    Elsewhere {
        /// Which.
        why: String,
    },
    /// Traffic of the node may pass it unfiltered.
    Gap {
        /// Why.
        why: String,
    },
}

/// How ingress of an interface is attached, as the daemon says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Where.
    pub ingress: Ingress,
    /// Why there.
    pub why: String,
}

/// Somebody else's XDP program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignXdp {
    /// Its id.
    pub id: u32,
    /// Its name; empty if it has none or we may not ask.
    pub name: String,
    /// `native`, `generic`, `hardware`.
    pub mode: &'static str,
}

/// A program on a TC hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcProgram {
    /// Which hook.
    pub direction: Direction,
    /// Its id.
    pub id: u32,
    /// Its name; empty if it has none.
    pub name: String,
    /// It is ours.
    pub ours: bool,
}

/// A bond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bond {
    /// `active-backup`, `802.3ad`, …
    pub mode: String,
    /// Names of its members.
    pub members: Vec<String>,
}

/// The daemon.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Its control socket.
    pub socket: PathBuf,
    /// What it answers.
    pub answer: Answer,
    /// What is wrong with the configuration, if anything is.
    pub configuration: Vec<String>,
}

/// What the daemon answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Its status.
    Status(Box<Status>),
    /// Nothing: there is no socket. Programs of a former one may still filter.
    Absent {
        /// Whether its pins are there; `None`: this user may not look.
        pins: Option<bool>,
    },
    /// The socket may not be opened by this user.
    Forbidden,
    /// Something else.
    Failed(String),
}
