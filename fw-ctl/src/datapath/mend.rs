//! What packets read beside a plan, looked at and stated again: that the plan is there is
//! checked by its hash.

use fw_common::wire::{ActiveWord, Generation};

use super::clock::seconds_per_tick;
use super::error::DatapathError;
use super::live::Datapath;
use super::tables::{Tables, writing};

impl Datapath {
    /// Finds out whether the kernel still holds what this process has stated beside the
    /// plan: the node's addresses, bans, which tables packets ask, the limit of events and
    /// the tick. States it again where it does not; returns what that was.
    ///
    /// # Errors
    /// The kernel cannot be asked, or refuses.
    pub fn mend(&mut self) -> Result<Vec<&'static str>, DatapathError> {
        self.tables.mend(self.event_limit())
    }
}

impl Tables {
    fn mend(&mut self, event_limit: u32) -> Result<Vec<&'static str>, DatapathError> {
        let mut mended = Vec::new();
        if self.local_mut().mend()? {
            mended.push("the node's addresses");
        }
        if self.bans.mend()? {
            mended.push("bans");
        }
        // Last: what they announce is there by now.
        let word = self.raw_word()?;
        let mut stated = word.with(ActiveWord::BANS, !self.bans.known().is_empty());
        if let Some(prefixes) = self.local().has_prefixes() {
            stated = stated.with(ActiveWord::LOCAL_PREFIXES, prefixes);
        }
        if stated != word {
            self.set_active(stated)?;
            mended.push("which tables packets ask");
        }
        for index in self.possible()? {
            let header = self.generation(index)?;
            let stated = Generation {
                event_limit,
                seconds_per_tick: seconds_per_tick(),
                ..header
            };
            if header.number != 0 && stated != header {
                self.generations
                    .set(index, stated, 0)
                    .map_err(writing("GENERATION"))?;
                mended.push("the limit of events, or the tick");
            }
        }
        Ok(mended)
    }
}
