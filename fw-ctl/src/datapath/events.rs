//! Reading verdicts from the ring buffer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

use aya::maps::{MapData, RingBuf};
use fw_common::wire::Event;

use super::error::DatapathError;
use super::tables::{EVENTS, open_map};

/// The consumer of the events; there must be only one at a time.
///
/// Its file descriptor becomes readable when events arrive (`AsyncFd` of tokio).
pub struct EventReader {
    ring: RingBuf<MapData>,
}

impl EventReader {
    /// Opens the ring buffer pinned in `directory`.
    ///
    /// # Errors
    /// The pin is missing or no ring buffer.
    pub(super) fn open(directory: &Path) -> Result<Self, DatapathError> {
        let (ring, _) = open_map(directory, EVENTS)?;
        Ok(Self { ring })
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
