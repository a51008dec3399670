//! Reading verdicts from the ring buffer, and how many were not put into it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use fw_common::wire::{EVENT_KINDS, Event, EventBudget, GENERATIONS, Generation};

use super::error::DatapathError;
use super::tables::{EVENTS, open_array, open_map, reading};
use crate::observe::Unreported;

/// The consumer of the events; there must be only one at a time.
///
/// Its file descriptor becomes readable when events arrive (`AsyncFd` of tokio).
pub struct EventReader {
    ring: RingBuf<MapData>,
    budget: Budget,
    generations: Array<MapData, Generation>,
}

impl EventReader {
    /// Opens the ring buffer pinned in `directory`.
    ///
    /// # Errors
    /// The pin is missing or no ring buffer.
    pub(super) fn open(directory: &Path) -> Result<Self, DatapathError> {
        let (ring, _) = open_map(directory, EVENTS)?;
        let budget = open_budget(directory)?;
        let generations = open_array(directory, "GENERATION", GENERATIONS)?;
        Ok(Self {
            ring,
            budget,
            generations,
        })
    }

    /// See [`unreported`]; with the plans that are in the tables.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn unreported(&self) -> Result<Unreported, DatapathError> {
        let mut unreported = unreported(&self.budget)?;
        for index in 0..GENERATIONS {
            let header = self.generations.get(&index, 0);
            let header = header.map_err(reading("GENERATION"))?;
            unreported.plans.push(header.number);
        }
        Ok(unreported)
    }

    /// The oldest event that was not read; `None` if there is none now.
    ///
    /// # Errors
    /// The record has not the size of an [`Event`]: the programs are not ours.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        let Some(record) = self.ring.next() else {
            return Ok(None);
        };
        if record.len() != size_of::<Event>() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("an event of {} bytes", record.len()),
            ));
        }
        // SAFETY: the record is as long as an `Event`, which is plain data of
        // which every bit pattern is valid; it need not be aligned.
        let event = unsafe { record.as_ptr().cast::<Event>().read_unaligned() };
        Ok(Some(event))
    }
}

/// How much each CPU has reported of each kind.
pub(super) type Budget = PerCpuArray<MapData, EventBudget>;

/// Name of its table.
pub(super) const EVENT_BUDGET: &str = "EVENT_BUDGET";

pub(super) fn open_budget(directory: &Path) -> Result<Budget, DatapathError> {
    open_array(directory, EVENT_BUDGET, EVENT_KINDS.len() as u32)
}

/// Events that were ever not reported: there were too many of their kind, reason or rule in that
/// moment, or the ring buffer was full.
pub(super) fn unreported(budget: &Budget) -> Result<Unreported, DatapathError> {
    let mut unreported = Unreported::default();
    for kind in EVENT_KINDS {
        let cpus = budget
            .get(&(kind as u32), 0)
            .map_err(reading(EVENT_BUDGET))?;
        for (cpu, values) in cpus.iter().enumerate() {
            unreported.add(kind, cpu, values.full, &values.slots);
        }
    }
    Ok(unreported)
}

impl AsFd for EventReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl AsRawFd for EventReader {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
