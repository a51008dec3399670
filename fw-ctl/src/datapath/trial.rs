//! A generation on trial: in force until a deadline, and for good only if it is
//! confirmed before. Packets themselves go back to the one before at the deadline
//! (`fw_common::wire::Fallback`), whether anybody is there to see it or not; what is here
//! begins that, ends it, and tells how it stands.
//!
//! While a generation is on trial the one before is still needed, so no other can be
//! written.

use std::time::Duration;

use fw_common::wire::{ActiveWord, Fallback};
use nix::time::{ClockId, clock_gettime};

use super::error::DatapathError;
use super::live::{Datapath, Installed};
use super::switch::wait_for_packets;
use super::tables::Tables;
use crate::compile::plan::Plan;

/// A generation on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The generation.
    pub installed: Installed,
    /// The one before; `None`: there was none, and all passes without one.
    pub former: Option<Installed>,
    /// Until packets go back to that one; zero: they have.
    pub left: Duration,
}

impl Datapath {
    /// [`Self::install`], but unless [`Self::confirm`] follows within `patience`, packets
    /// go back to the plan before.
    ///
    /// # Errors
    /// As there.
    pub fn install_on_trial(
        &mut self,
        plan: &Plan,
        number: u64,
        patience: Duration,
    ) -> Result<Installed, DatapathError> {
        self.write(plan, number, Some(patience))
    }

    /// The generation on trial, if one is; also one whose time is over, until
    /// [`Self::go_back`] says so.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn trial(&self) -> Result<Option<Trial>, DatapathError> {
        let word = self.tables.raw_word()?;
        if !word.asks(ActiveWord::ON_TRIAL) {
            return Ok(None);
        }
        let fallback = self.tables.fallback()?;
        let of = |index| -> Result<_, DatapathError> {
            Ok(Installed::new(index, &self.tables.generation(index)?))
        };
        let former = of(fallback.word.index())?;
        Ok(Some(Trial {
            installed: of(word.index())?,
            former: (former.number != 0).then_some(former),
            left: Duration::from_nanos(fallback.deadline.saturating_sub(now())),
        }))
    }

    /// Makes the generation on trial one that stays; without one, changes nothing. When
    /// its time is over by then, it has been left, and stays so.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn confirm(&mut self) -> Result<Option<Installed>, DatapathError> {
        let word = self.tables.raw_word()?;
        // As packets see it: what they have left is not taken up again.
        let seen = self.tables.active_word()?;
        self.tables
            .set_active(seen.with(ActiveWord::ON_TRIAL, false))?;
        // Until then some may still look at what is written for the next trial.
        wait_for_packets();
        if seen.index() != word.index() {
            return Ok(None);
        }
        self.active()
    }

    /// Leaves the generation on trial at once for the one before; without one, changes
    /// nothing.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn go_back(&mut self) -> Result<Option<Installed>, DatapathError> {
        let word = self.tables.raw_word()?;
        if word.asks(ActiveWord::ON_TRIAL) {
            let former = self.tables.fallback()?.word;
            self.tables.set_active(word.back_to(former))?;
            wait_for_packets();
        }
        self.active()
    }
}

impl Tables {
    /// Generations that a change must be made to so that it holds whatever becomes of a
    /// trial: the one in force first.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub(super) fn possible(&self) -> Result<Vec<u32>, DatapathError> {
        let word = self.raw_word()?;
        let active = self.active()?;
        if !word.asks(ActiveWord::ON_TRIAL) {
            return Ok(vec![active]);
        }
        let mut indices = vec![active, word.index(), self.fallback()?.word.index()];
        indices.dedup();
        indices.truncate(2);
        Ok(indices)
    }

    /// Ends a trial whose time is over; returns whether there was one.
    ///
    /// # Errors
    /// The time is not over, or the kernel refuses.
    pub(super) fn end_trial(&mut self) -> Result<bool, DatapathError> {
        let word = self.raw_word()?;
        if !word.asks(ActiveWord::ON_TRIAL) {
            return Ok(false);
        }
        let seen = self.active_word()?;
        if seen.asks(ActiveWord::ON_TRIAL) {
            let number = self.generation(word.index())?.number;
            return Err(DatapathError::OnTrial { number });
        }
        self.set_active(seen)?;
        Ok(true)
    }

    /// Lets packets see the generation `index`, from one to the next; for `patience` only,
    /// if there is one.
    ///
    /// # Errors
    /// The kernel refuses; the old one stays in force.
    pub(super) fn flip_for(
        &mut self,
        index: u32,
        patience: Option<Duration>,
    ) -> Result<(), DatapathError> {
        let Some(patience) = patience else {
            return self.flip(index);
        };
        let word = self.raw_word()?;
        let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        self.set_fallback(Fallback {
            deadline: now().saturating_add(patience),
            word,
            pad: 0,
        })?;
        self.set_active(word.at(index).with(ActiveWord::ON_TRIAL, true))
    }
}

/// Nanoseconds of the clock that deadlines are in: `bpf_ktime_get_ns()`.
pub(super) fn now() -> u64 {
    // It is always to be had (clock_gettime(2)); 0 would be before every deadline, and the
    // datapath goes by its own clock anyway.
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
        return 0;
    };
    Duration::from(now)
        .as_nanos()
        .try_into()
        .unwrap_or(u64::MAX)
}
