//! Reading verdicts from the ring buffer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use fw_common::wire::{Event, EventBudget};

use super::error::DatapathError;
use super::tables::{EVENTS, open_array, open_map, reading};

/// The consumer of the events; there must be only one at a time.
///
/// Its file descriptor becomes readable when events arrive (`AsyncFd` of tokio).
pub struct EventReader {
    ring: RingBuf<MapData>,
    budget: Budget,
}

impl EventReader {
    /// Opens the ring buffer pinned in `directory`.
    ///
    /// # Errors
    /// The pin is missing or no ring buffer.
    pub(super) fn open(directory: &Path) -> Result<Self, DatapathError> {
        let (ring, _) = open_map(directory, EVENTS)?;
        let budget = open_budget(directory)?;
        Ok(Self { ring, budget })
    }

    /// See [`lost_by_cpu`].
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn lost_by_cpu(&self) -> Result<Vec<u64>, DatapathError> {
        lost_by_cpu(&self.budget)
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
    open_array(directory, EVENT_BUDGET, 2)
}

/// Events that each CPU has ever not reported: it had reported enough in that moment, or the ring
/// buffer was full.
pub(super) fn lost_by_cpu(budget: &Budget) -> Result<Vec<u64>, DatapathError> {
    let mut lost = Vec::new();
    for values in budget.iter() {
        let values = values.map_err(reading(EVENT_BUDGET))?;
        lost.resize(values.len().max(lost.len()), 0_u64);
        for (lost, cpu) in lost.iter_mut().zip(values.iter()) {
            *lost = lost.saturating_add(cpu.lost);
        }
    }
    Ok(lost)
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
