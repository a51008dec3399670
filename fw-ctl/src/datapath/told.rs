//! The flows that the datapath has reported of late.

use std::path::Path;

use fw_common::datapath::told;
use fw_common::wire::ToldBucket;

use super::error::DatapathError;
use super::mapped::Mapped;

/// Name of their table.
pub const TOLD: &str = "TOLD";

/// The table.
pub struct Told(Mapped<ToldBucket>);

impl Told {
    /// Maps the table pinned in `directory`.
    ///
    /// # Errors
    /// As [`Mapped::open`].
    pub fn open(directory: &Path) -> Result<Self, DatapathError> {
        Mapped::open(directory, TOLD).map(Self)
    }

    /// Forgets all: what comes next is reported, whatever it goes on.
    pub fn clear(&mut self) {
        for number in 0..self.0.count() {
            // SAFETY: an entry of the mapping; the datapath touches it through this type, too.
            unsafe { told::Told::new(self.0.entry(number)) }.clear();
        }
    }
}
