//! What nobody was told, and where it was lost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::RuleName;

/// Rules and reasons that are told of one loss.
pub const LOST_OF: usize = 8;

/// Where (Cilium `flow.proto`, `LostEventSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LostSource {
    /// The kernel has not reported it: a CPU reports so many in a moment, and the buffer to the
    /// daemon may be full.
    Kernel,
    /// Who listens was too slow.
    Listener,
}

impl LostSource {
    /// Hubble's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "PERF_EVENT_RING_BUFFER",
            Self::Listener => "HUBBLE_RING_BUFFER",
        }
    }

    /// Hubble's number.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Kernel => 1,
            Self::Listener => 3,
        }
    }
}

/// So many packets of which nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// When that was noticed: nanoseconds since 1970.
    pub time: u64,
    /// `cluster/node`
    pub node: Arc<str>,
    /// Where they were lost.
    pub source: LostSource,
    /// How many.
    pub count: u64,
    /// The CPU that lost them, if it was one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Of which rules and reasons, what is most first; of the kernel's only, and at most
    /// [`LOST_OF`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<LostOf>,
}

/// What of it was of one rule, or of one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostOf {
    /// How many.
    pub count: u64,
    /// They passed; else they were dropped, or would have been.
    pub allowed: bool,
    /// Why, where no rule decided: a [`fw_common::wire::DropReason`] slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<u8>,
    /// The rule that decided; without it and a reason it is not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Arc<RuleName>>,
}
