//! What nobody was told, and where it was lost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

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
}

/// What each CPU had lost when it was looked at last.
pub struct Losses {
    before: Vec<u64>,
}

impl Losses {
    /// From now on: what was lost before is nobody's any more.
    #[must_use]
    pub fn since(totals: Vec<u64>) -> Self {
        Self { before: totals }
    }

    /// How many were lost since then, and on which CPU if it was one alone. `totals`: what
    /// each CPU has ever lost.
    pub fn look(&mut self, totals: Vec<u64>) -> Option<(u64, Option<u32>)> {
        let before = std::mem::replace(&mut self.before, totals);
        let before = before.into_iter().chain(std::iter::repeat(0));
        let lost = self.before.iter().zip(before);
        let lost: Vec<_> = (0..)
            .zip(lost.map(|(now, before)| now.saturating_sub(before)))
            .filter(|(_, count)| *count > 0)
            .collect();
        match lost[..] {
            [] => None,
            [(cpu, count)] => Some((count, Some(cpu))),
            _ => Some((lost.iter().map(|(_, count)| count).sum(), None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_once_with_its_cpu_if_it_was_one() {
        let mut losses = Losses::since(vec![5, 0]);
        assert_eq!(losses.look(vec![5, 0]), None);
        assert_eq!(losses.look(vec![5, 7]), Some((7, Some(1))));
        assert_eq!(losses.look(vec![5, 7]), None);
        assert_eq!(losses.look(vec![6, 9]), Some((3, None)));
        // A CPU that came later; and one that began again.
        assert_eq!(losses.look(vec![6, 9, 4]), Some((4, Some(2))));
        assert_eq!(losses.look(vec![0, 9, 4]), None);
    }
}
