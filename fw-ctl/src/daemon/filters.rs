//! What filters, as `fw-ctl status` tells: which programs are where, and whether they were
//! seen to judge by the plan.

use std::time::{SystemTime, UNIX_EPOCH};

use fw_common::wire::SCHEMA_VERSION;
use serde::{Deserialize, Serialize};

use super::Kernel;
use crate::datapath::{AttachedProgram, Tested};
use crate::moment;

/// The kernel's side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatapathStatus {
    /// Number of the layout of the tables: `v<N>` of the pins.
    pub schema: u32,
    /// Programs on interfaces.
    pub programs: Vec<ProgramStatus>,
    /// The last test whether they judge by the plan; `None`: none yet, the programs for it
    /// are being loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTestStatus>,
}

/// A program on an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// The interface.
    pub interface: String,
    /// `xdp`, `tc-ingress` or `tc-egress`.
    pub hook: String,
    /// The kernel's id, as in `bpftool prog show`.
    pub id: u32,
    /// The kernel's hash of its instructions, in hex, as there.
    pub tag: String,
    /// When it was loaded, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<String>,
}

/// A test of a plan by packets that nobody sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTestStatus {
    /// Number of the generation.
    pub generation: u64,
    /// Packets that were judged.
    pub packets: usize,
    /// Microseconds that it took.
    pub microseconds: u64,
    /// When, in RFC 3339.
    pub at: String,
    /// What was otherwise than the plan says, or why there was no test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl DatapathStatus {
    /// Asked of the kernel.
    pub(super) fn of<K: Kernel>(kernel: &K) -> Self {
        Self {
            schema: SCHEMA_VERSION,
            programs: kernel.programs().into_iter().map(Into::into).collect(),
            self_test: kernel.tested().map(Into::into),
        }
    }

    /// What degrades.
    pub(super) fn problem(&self) -> Option<String> {
        let test = self.self_test.as_ref()?;
        let failed = test.failed.as_ref()?;
        let number = test.generation;
        Some(format!("the self-test of generation {number}: {failed}"))
    }
}

impl std::fmt::Display for SelfTestStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            generation,
            packets,
            microseconds,
            at,
            ..
        } = self;
        let verdict = match &self.failed {
            None => "judged as the plan says",
            Some(_) => "failed",
        };
        let milliseconds = microseconds.div_ceil(1_000);
        write!(
            f,
            "generation {generation}: {packets} packets {verdict} ({milliseconds} ms, {at})"
        )
    }
}

impl From<AttachedProgram> for ProgramStatus {
    fn from(program: AttachedProgram) -> Self {
        Self {
            interface: program.link.name,
            hook: program.hook.into(),
            id: program.id,
            // As bpftool writes it: the bytes in their order.
            tag: format!("{:016x}", program.tag),
            loaded: program.loaded.map(rfc3339),
        }
    }
}

impl From<Tested> for SelfTestStatus {
    fn from(tested: Tested) -> Self {
        Self {
            generation: tested.number,
            packets: tested.packets,
            microseconds: tested.took.as_micros().try_into().unwrap_or(u64::MAX),
            at: rfc3339(tested.at),
            failed: tested.failed,
        }
    }
}

fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH);
    moment::rfc3339(since.map_or(0, |since| since.as_secs()))
}
