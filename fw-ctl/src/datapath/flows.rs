//! The connections that the datapath remembers, read and written in place.
//!
//! Their table is mapped, so that a look at all of them costs no system calls, and
//! what is written from here goes the way of the datapath's own writes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aya::maps::{Array, MapData, PerCpuArray};
use fw_common::datapath::flows::Bucket;
use fw_common::wire::{FLOW_SLOTS, FlowBucket, FlowKey, FlowSeeds, FlowState, FlowTally, Origin};
use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

use super::error::DatapathError;
use super::mapped::Mapped;
use super::tables::{open_array, reading, writing};

/// Name of the table of connections.
pub const CONNTRACK: &str = "CONNTRACK";
/// Name of the table of what they are hashed with.
pub const CONNTRACK_SEEDS: &str = "CONNTRACK_SEEDS";
/// Name of the table of what became of them.
pub const CONNTRACK_TALLY: &str = "CONNTRACK_TALLY";

/// Entries of the table of the node's own ports.
const OWN_PORTS: u32 = 1 << 16;
/// The part of the memory of the machine that connections may take: 16 MiB (350,000
/// connections) of 16 GiB, about what Linux gives its own (`nf_conntrack_max`).
const PART: u64 = 1_024;
/// At least 8,192 connections: 384 KiB.
const FEWEST: u64 = 1_024;
/// At most 2.8 million: 128 MiB.
const MOST: u64 = (128 << 20) / size_of::<FlowBucket>() as u64;

/// How full the table is and was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// Connections that are remembered now.
    pub live: u64,
    /// Connections that there is room for.
    pub capacity: u64,
    /// Connections remembered ever.
    pub begun: u64,
    /// Of them, those that had to give way before their time, the least time left first.
    pub displaced: u64,
}

/// The connections of a table, wherever in it they are.
pub struct Buckets(Mapped<FlowBucket>);

/// The table.
pub struct Flows {
    buckets: Buckets,
    seeds: FlowSeeds,
    tally: PerCpuArray<MapData, FlowTally>,
    own_ports: Array<MapData, u32>,
}

impl Buckets {
    /// Maps the table pinned in `directory`.
    ///
    /// # Errors
    /// As [`Mapped::open`].
    pub fn open(directory: &Path) -> Result<Self, DatapathError> {
        Mapped::open(directory, CONNTRACK).map(Self)
    }

    /// All connections, forgotten ones among them until another takes their place.
    pub fn iter(&self) -> impl Iterator<Item = (FlowKey, FlowState)> + '_ {
        (0..self.0.count()).flat_map(|number| self.bucket(number).iter())
    }

    /// Forgets all connections; returns how many were there.
    pub fn clear(&mut self) -> usize {
        (0..self.0.count())
            .map(|number| self.bucket(number).clear())
            .sum()
    }

    fn bucket(&self, number: u32) -> Bucket<'_> {
        // SAFETY: an entry of the mapping, which lives as long as `self`; the datapath
        // touches it through `Bucket`, too.
        unsafe { Bucket::new(self.0.entry(number)) }
    }
}

impl Flows {
    /// Opens the tables pinned in `directory`. A table that is new gets its seeds, which
    /// it shares with that of rate limits of `rate_buckets`.
    ///
    /// # Errors
    /// A pin is missing or has another layout, or the kernel refuses.
    pub fn open(directory: &Path, rate_buckets: u32) -> Result<Self, DatapathError> {
        let buckets = Buckets::open(directory)?;
        let mut seeds: Array<MapData, FlowSeeds> = open_array(directory, CONNTRACK_SEEDS, 1)?;
        Ok(Self {
            seeds: seeded(&mut seeds, buckets.0.count(), rate_buckets)?,
            buckets,
            tally: open_array(directory, CONNTRACK_TALLY, 1)?,
            own_ports: open_array(directory, "OWN_PORTS", OWN_PORTS)?,
        })
    }

    /// All connections, forgotten ones among them until another takes their place.
    pub fn iter(&self) -> impl Iterator<Item = (FlowKey, FlowState)> + '_ {
        self.buckets.iter()
    }

    /// Forgets all connections; returns how many were there.
    pub fn clear(&mut self) -> usize {
        self.buckets.clear()
    }

    /// Remembers connections as if packets of them had been seen at `now`, by the
    /// clock of the datapath.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remember(
        &mut self,
        now: u32,
        flows: impl IntoIterator<Item = (FlowKey, FlowState)>,
    ) -> Result<(), DatapathError> {
        for (key, state) in flows {
            self.put(now, &key, |_| Some(state))?;
        }
        Ok(())
    }

    /// Remembers the live connections of another table, as that one has them, unless this
    /// one has seen them later.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn copy(&mut self, now: u32, other: &Buckets) -> Result<(), DatapathError> {
        let mut ports = BTreeSet::new();
        for (key, state) in other.iter().filter(|(_, state)| state.is_live(now)) {
            let words = key.words();
            let place = self.seeds.place(words);
            let bucket = self.buckets.bucket(place.bucket);
            match bucket.find(place.tag, words) {
                Some(found) if found.state.time_left(now) >= state.time_left(now) => continue,
                Some(found) => bucket.update(found, state),
                None => {
                    bucket.insert(place.tag, words, state, now);
                }
            }
            if state.origin() == Origin::Local {
                ports.insert(key.local_port);
            }
        }
        ports
            .into_iter()
            .try_for_each(|port| self.see_port(port, now))
    }

    /// A connection of the node's own begins at this port.
    fn see_port(&mut self, port: u16, now: u32) -> Result<(), DatapathError> {
        self.own_ports
            .set(u32::from(port), now.max(1), 0)
            .map_err(writing("OWN_PORTS"))
    }

    /// The state of a connection, forgotten or not.
    pub(super) fn find(&self, key: &FlowKey) -> Option<FlowState> {
        let words = key.words();
        let place = self.seeds.place(words);
        let found = self.buckets.bucket(place.bucket).find(place.tag, words)?;
        Some(found.state)
    }

    /// Gives a connection the state that `choose` makes of what is known of it; `None`
    /// leaves it as it is. Returns whether that changed anything.
    pub(super) fn put(
        &mut self,
        now: u32,
        key: &FlowKey,
        choose: impl FnOnce(Option<FlowState>) -> Option<FlowState>,
    ) -> Result<bool, DatapathError> {
        let words = key.words();
        let place = self.seeds.place(words);
        let found = self.buckets.bucket(place.bucket).find(place.tag, words);
        let Some(state) = choose(found.map(|found| found.state)) else {
            return Ok(false);
        };
        if state.origin() == Origin::Local {
            self.see_port(key.local_port, now)?;
        }
        let bucket = self.buckets.bucket(place.bucket);
        match found {
            Some(found) => bucket.update(found, state),
            None => {
                bucket.insert(place.tag, words, state, now);
            }
        }
        Ok(true)
    }

    /// How full the table is at `now`.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn pressure(&self, now: u32) -> Result<Pressure, DatapathError> {
        let tally = self.tally.get(&0, 0).map_err(reading(CONNTRACK_TALLY))?;
        let sum = |part: fn(&FlowTally) -> u64| tally.iter().map(part).fold(0, u64::wrapping_add);
        Ok(Pressure {
            live: self.iter().filter(|(_, state)| state.is_live(now)).count() as u64,
            capacity: u64::from(self.buckets.0.count()) * FLOW_SLOTS as u64,
            begun: sum(|tally| tally.begun),
            displaced: sum(|tally| tally.displaced),
        })
    }
}

/// Buckets for a machine of this much memory.
#[must_use]
pub fn buckets_for(memory: u64) -> u32 {
    let buckets = memory / PART / size_of::<FlowBucket>() as u64;
    buckets.clamp(FEWEST, MOST) as u32
}

/// Bytes of memory of this machine; 0 if it does not tell.
#[must_use]
pub fn memory() -> u64 {
    let ask = |what| sysconf(what).ok().flatten().unwrap_or(0).cast_unsigned();
    ask(SysconfVar::_PHYS_PAGES) * ask(SysconfVar::PAGE_SIZE)
}

/// The seeds of the table: those that are there, else new ones.
fn seeded(
    table: &mut Array<MapData, FlowSeeds>,
    buckets: u32,
    rate_buckets: u32,
) -> Result<FlowSeeds, DatapathError> {
    let seeds = table.get(&0, 0).map_err(reading(CONNTRACK_SEEDS))?;
    if (seeds.buckets, seeds.rate_buckets) == (buckets, rate_buckets) {
        return Ok(seeds);
    }
    let random = random().map_err(|error| DatapathError::io("reading /dev/urandom", &error))?;
    let seeds = FlowSeeds {
        random,
        buckets,
        rate_buckets,
    };
    table.set(0, seeds, 0).map_err(writing(CONNTRACK_SEEDS))?;
    Ok(seeds)
}

fn random<const N: usize>() -> io::Result<[u64; N]> {
    let mut source = File::open("/dev/urandom")?;
    let mut numbers = [0; N];
    for number in &mut numbers {
        let mut bytes = [0; 8];
        source.read_exact(&mut bytes)?;
        *number = u64::from_ne_bytes(bytes);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_a_thousandth_of_the_memory() {
        let connections = |gib: u64| u64::from(buckets_for(gib << 30)) * FLOW_SLOTS as u64;
        assert_eq!(connections(0), 8_192);
        assert_eq!(connections(16), 349_520);
        assert_eq!(connections(1_024), 2_796_200);
    }
}
