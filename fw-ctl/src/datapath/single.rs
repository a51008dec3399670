//! Tables of single addresses beside the plan: bans, and classes that a plan was
//! amended by.
//!
//! A change is written entry by entry, while packets look, and takes effect with the
//! write. The bit of the filter is there before its entry and goes after it, so that
//! what a packet can see is always sound.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;
use std::path::Path;

use aya::Pod;
use aya::maps::{Array, HashMap, MapData};
use fw_common::wire::{ActiveWord, Address, FILTER_WORDS, SINGLES, Spot};

use super::error::DatapathError;
use super::live::Datapath;
use super::tables::{Tables, entries, is_missing, open_array, open_map, present, reading, writing};

/// Addresses that a look for meddling asks the kernel about: some milliseconds.
const LOOKED_AT: usize = 4_096;

/// A map of single addresses and its filter.
pub struct SingleTable<V: Pod> {
    map: HashMap<MapData, Address, V>,
    filter: Array<MapData, u64>,
    /// What the map holds. Only this process writes it.
    known: BTreeMap<Address, V>,
    /// How many addresses have their bit at a spot.
    spots: BTreeMap<Spot, u32>,
    /// Where [`Self::mend`] goes on.
    mended: Option<Address>,
    /// What it is a table of.
    what: &'static str,
    name: &'static str,
    filter_name: &'static str,
}

impl<V: Pod + PartialEq> SingleTable<V> {
    /// The table of bans: until when.
    pub(super) fn bans(directory: &Path) -> Result<Self, DatapathError> {
        Self::open(directory, "banned addresses", "BANS", "BAN_FILTER")
    }

    /// The table of classes.
    pub(super) fn classes(directory: &Path) -> Result<Self, DatapathError> {
        Self::open(directory, "single addresses", "SINGLES", "SINGLE_FILTER")
    }

    fn open(
        directory: &Path,
        what: &'static str,
        name: &'static str,
        filter_name: &'static str,
    ) -> Result<Self, DatapathError> {
        let (map, _) = open_map(directory, name)?;
        let mut table = Self {
            known: entries(&map, SINGLES, name)?.into_iter().collect(),
            map,
            filter: open_array(directory, filter_name, FILTER_WORDS)?,
            spots: BTreeMap::new(),
            mended: None,
            what,
            name,
            filter_name,
        };
        for address in table.known.keys() {
            *table.spots.entry(address.spot()).or_default() += 1;
        }
        Ok(table)
    }

    /// What it holds, as far as this process has written or found it.
    #[must_use]
    pub fn known(&self) -> &BTreeMap<Address, V> {
        &self.known
    }

    /// What packets find for an address now, asked of the kernel.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub(super) fn get(&self, address: &Address) -> Result<Option<V>, DatapathError> {
        let spot = address.spot();
        if self.word(spot)? & spot.mask == 0 {
            return Ok(None);
        }
        match self.map.get(address, 0) {
            Err(error) if is_missing(&error) => Ok(None),
            found => found.map(Some).map_err(reading(self.name)),
        }
    }

    /// What packets find in it now, asked of the kernel.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn read(&self) -> Result<BTreeMap<Address, V>, DatapathError> {
        let mut found = BTreeMap::new();
        for (address, value) in entries(&self.map, SINGLES, self.name)? {
            let spot = address.spot();
            if self.word(spot)? & spot.mask != 0 {
                found.insert(address, value);
            }
        }
        Ok(found)
    }

    /// Gives an address a value, whatever it had.
    ///
    /// # Errors
    /// The table is full, or the kernel refuses: then it has what it had.
    pub(super) fn insert(&mut self, address: Address, value: V) -> Result<(), DatapathError> {
        let new = match self.known.get(&address) {
            Some(old) if *old == value => return Ok(()),
            old => old.is_none(),
        };
        if new {
            if self.known.len() >= SINGLES as usize {
                return Err(DatapathError::Full {
                    what: self.what,
                    room: SINGLES,
                });
            }
            let spot = address.spot();
            if !self.spots.contains_key(&spot) {
                let word = self.word(spot)? | spot.mask;
                self.set_word(spot, word)?;
            }
        }
        self.map
            .insert(address, value, 0)
            .map_err(writing(self.name))?;
        if new {
            *self.spots.entry(address.spot()).or_default() += 1;
        }
        self.known.insert(address, value);
        Ok(())
    }

    /// Takes an address out; returns whether it was there.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn remove(&mut self, address: &Address) -> Result<bool, DatapathError> {
        present(self.map.remove(address)).map_err(writing(self.name))?;
        if self.known.remove(address).is_none() {
            return Ok(false);
        }
        let spot = address.spot();
        let others = self.spots.get(&spot).map_or(0, |count| count - 1);
        if others > 0 {
            self.spots.insert(spot, others);
        } else {
            self.spots.remove(&spot);
            let word = self.word(spot)? & !spot.mask;
            self.set_word(spot, word)?;
        }
        Ok(true)
    }

    /// Makes the kernel hold what was written, where somebody has meddled. Returns whether
    /// anybody has. Of a large table a part at a time; what others have added is found in
    /// a small one.
    ///
    /// # Errors
    /// The kernel cannot be asked, or refuses.
    pub(super) fn mend(&mut self) -> Result<bool, DatapathError> {
        let mut meddled = false;
        if self.known.len() <= LOOKED_AT {
            for (address, _) in entries(&self.map, SINGLES, self.name)? {
                if !self.known.contains_key(&address) {
                    present(self.map.remove(&address)).map_err(writing(self.name))?;
                    meddled = true;
                }
            }
        }
        let from = self.mended.map_or(Bound::Unbounded, Bound::Excluded);
        let part = self.known.range((from, Bound::Unbounded));
        let part: Vec<_> = part.take(LOOKED_AT).map(|(a, v)| (*a, *v)).collect();
        self.mended = match part.last() {
            Some((last, _)) if part.len() == LOOKED_AT => Some(*last),
            _ => None,
        };
        for (address, value) in part {
            if self.get(&address)? == Some(value) {
                continue;
            }
            let spot = address.spot();
            let word = self.word(spot)? | spot.mask;
            self.set_word(spot, word)?;
            self.map
                .insert(address, value, 0)
                .map_err(writing(self.name))?;
            meddled = true;
        }
        Ok(meddled)
    }

    /// Takes every address out.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn clear(&mut self) -> Result<(), DatapathError> {
        let addresses: Vec<Address> = self.known.keys().copied().collect();
        for address in addresses {
            self.remove(&address)?;
        }
        Ok(())
    }

    fn word(&self, spot: Spot) -> Result<u64, DatapathError> {
        self.filter
            .get(&spot.word, 0)
            .map_err(reading(self.filter_name))
    }

    fn set_word(&mut self, spot: Spot, word: u64) -> Result<(), DatapathError> {
        self.filter
            .set(spot.word, word, 0)
            .map_err(writing(self.filter_name))
    }
}

impl Datapath {
    /// Bans an address until `until`: nanoseconds of the monotonic clock, or
    /// [`fw_common::wire::BAN_FOR_GOOD`]. It holds whatever plan is in force, and ends
    /// by itself.
    ///
    /// # Errors
    /// The table is full, or the kernel refuses: then nothing has changed.
    pub fn ban(&mut self, address: IpAddr, until: u64) -> Result<(), DatapathError> {
        self.tables.ban(address, until)
    }

    /// Bans an address no longer.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn unban(&mut self, address: IpAddr) -> Result<(), DatapathError> {
        self.tables.unban(address)
    }

    /// The bans that the kernel holds, also those that have run out.
    #[must_use]
    pub fn bans(&self) -> BTreeMap<IpAddr, u64> {
        self.tables.bans()
    }
}

impl Tables {
    /// Bans an address until `until`: nanoseconds of the monotonic clock, or
    /// [`fw_common::wire::BAN_FOR_GOOD`]. When this returns, no further packet passes.
    ///
    /// # Errors
    /// The table is full, or the kernel refuses.
    pub fn ban(&mut self, address: IpAddr, until: u64) -> Result<(), DatapathError> {
        self.bans.insert(address.into(), until)?;
        self.ask(ActiveWord::BANS, true)
    }

    /// Bans an address no longer.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn unban(&mut self, address: IpAddr) -> Result<(), DatapathError> {
        self.bans.remove(&address.into())?;
        let any = !self.bans.known().is_empty();
        self.ask(ActiveWord::BANS, any)
    }

    /// The bans that the kernel holds, also those that have run out.
    #[must_use]
    pub fn bans(&self) -> BTreeMap<IpAddr, u64> {
        let known = self.bans.known().iter();
        known
            .map(|(address, until)| ((*address).into(), *until))
            .collect()
    }
}
