//! The kernel's maps, typed, opened through their pins.
//!
//! Everything is opened from the pin and never from the object file: so the
//! sizes that are checked are those that the kernel really has.

use std::path::Path;

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use fw_common::wire::{
    ActiveWord, COUNTERS, Counter, Direction, Fallback, FragmentKey, FragmentState, GENERATIONS,
    Generation, MATRIX_BLOCKS, MatrixBlock, NumberClasses, PORT_PROTOCOLS, PortClasses, RULES,
    RateBucket, RateLimit, RuleTally, Tally, VlanClasses, counter_index, rule_index,
};

use super::capture::{CAPTURE, CAPTURED};
use super::error::DatapathError;
use super::events::{Budget, EVENT_BUDGET, open_budget, unreported};
use super::flows::{CONNTRACK, CONNTRACK_SEEDS, CONNTRACK_TALLY, Flows};
use super::image::DIRECTIONS;
use super::limits::{RATE_LIMITS, RATES};
use super::local::Local;
use super::peer_store::{PEER_ROOTS, PEERS, PeerStore};
use super::single::SingleTable;
use super::told::{TOLD, Told};
use super::trial;
use crate::netlink::LocalAddresses;

/// The names of all maps: those of the pins. The blocks of [`PEERS`] are beside them.
pub const NAMES: [&str; 28] = [
    "ACTIVE",
    FALLBACK,
    "GENERATION",
    "LOCAL",
    "LOCAL_PREFIXES",
    PEER_ROOTS,
    PEERS,
    "SINGLES",
    "SINGLE_FILTER",
    "BANS",
    "BAN_FILTER",
    VLANS,
    "PORTS",
    "NUMBERS",
    "MATRIX",
    "COUNTERS",
    "RULES",
    CONNTRACK,
    CONNTRACK_SEEDS,
    CONNTRACK_TALLY,
    "OWN_PORTS",
    RATE_LIMITS,
    RATES,
    TOLD,
    "FRAGMENTS",
    EVENT_BUDGET,
    CAPTURE,
    CAPTURED,
];

/// Name of the table of what packets go back to.
const FALLBACK: &str = "FALLBACK";
/// Name of the table of VLAN classes.
pub(super) const VLANS: &str = "VLANS";

/// Name of the ring buffer; see [`super::EventReader`].
pub const EVENTS: &str = "EVENTS";

/// The maps of one datapath.
pub struct Tables {
    active: Array<MapData, ActiveWord>,
    fallback: Array<MapData, Fallback>,
    pub(super) generations: Array<MapData, Generation>,
    local: Local,
    pub(super) peers: PeerStore,
    pub(super) singles: SingleTable<u32>,
    pub(super) bans: SingleTable<u64>,
    pub(super) vlans: Array<MapData, VlanClasses>,
    pub(super) ports: Array<MapData, PortClasses>,
    pub(super) numbers: Array<MapData, NumberClasses>,
    pub(super) matrix: Array<MapData, MatrixBlock>,
    counters: PerCpuArray<MapData, Tally>,
    rules: PerCpuArray<MapData, RuleTally>,
    flows: Flows,
    pub(super) limits: Array<MapData, RateLimit>,
    rates: Array<MapData, RateBucket>,
    told: Told,
    fragments: HashMap<MapData, FragmentKey, FragmentState>,
    fragments_room: u32,
    budget: Budget,
}

impl Tables {
    /// Opens the maps pinned in `directory`.
    ///
    /// # Errors
    /// A pin is missing, or a map has other sizes than this version's.
    pub fn open(directory: &Path) -> Result<Self, DatapathError> {
        let (fragments, fragments_room) = open_map(directory, "FRAGMENTS")?;
        let (rates, _): (Array<MapData, RateBucket>, _) = open_map(directory, RATES)?;
        let sides = GENERATIONS * 2;
        Ok(Self {
            active: open_array(directory, "ACTIVE", 1)?,
            fallback: open_array(directory, FALLBACK, 1)?,
            generations: open_array(directory, "GENERATION", GENERATIONS)?,
            local: Local::open(directory)?,
            peers: PeerStore::open(directory)?,
            singles: SingleTable::classes(directory)?,
            bans: SingleTable::bans(directory)?,
            vlans: open_array(directory, VLANS, GENERATIONS)?,
            ports: open_array(directory, "PORTS", sides * PORT_PROTOCOLS)?,
            numbers: open_array(directory, "NUMBERS", sides)?,
            matrix: open_array(directory, "MATRIX", sides * MATRIX_BLOCKS)?,
            counters: open_array(directory, "COUNTERS", COUNTERS)?,
            rules: open_array(directory, "RULES", GENERATIONS * RULES)?,
            flows: Flows::open(directory, rates.len())?,
            limits: open_array(directory, RATE_LIMITS, GENERATIONS * RULES)?,
            rates,
            told: Told::open(directory)?,
            fragments,
            fragments_room,
            budget: open_budget(directory)?,
        })
    }

    /// Index of the generation that packets see.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn active(&self) -> Result<u32, DatapathError> {
        Ok(self.active_word()?.index())
    }

    /// The word that packets go by.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub(super) fn active_word(&self) -> Result<ActiveWord, DatapathError> {
        let word = self.raw_word()?;
        if !word.asks(ActiveWord::ON_TRIAL) {
            return Ok(word);
        }
        Ok(self.fallback()?.resolve(word, trial::now()))
    }

    /// The word as it was written, by which they find that.
    pub(super) fn raw_word(&self) -> Result<ActiveWord, DatapathError> {
        self.active.get(&0, 0).map_err(reading("ACTIVE"))
    }

    pub(super) fn fallback(&self) -> Result<Fallback, DatapathError> {
        self.fallback.get(&0, 0).map_err(reading(FALLBACK))
    }

    /// Packets that read the one before must have ended.
    pub(super) fn set_fallback(&mut self, fallback: Fallback) -> Result<(), DatapathError> {
        self.fallback.set(0, fallback, 0).map_err(writing(FALLBACK))
    }

    pub(super) fn set_active(&mut self, word: ActiveWord) -> Result<(), DatapathError> {
        self.active.set(0, word, 0).map_err(writing("ACTIVE"))
    }

    /// Makes packets ask a table beside the plan, or not; `table` is a bit of
    /// [`ActiveWord`].
    ///
    /// # Errors
    /// The kernel cannot be asked, or refuses.
    pub(super) fn ask(&mut self, table: u32, asks: bool) -> Result<(), DatapathError> {
        let old = self.raw_word()?;
        let new = old.with(table, asks);
        if new == old {
            return Ok(());
        }
        self.set_active(new)
    }

    /// Lets packets see the generation `index`, from one to the next.
    ///
    /// # Errors
    /// The kernel refuses; the old one stays in force.
    pub fn flip(&mut self, index: u32) -> Result<(), DatapathError> {
        let word = self.raw_word()?.at(index);
        self.set_active(word)
    }

    /// What the datapath knows of the generation `index`.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn generation(&self, index: u32) -> Result<Generation, DatapathError> {
        self.generations
            .get(&index, 0)
            .map_err(reading("GENERATION"))
    }

    /// The addresses that make packets the node's business.
    #[must_use]
    pub fn local(&self) -> &Local {
        &self.local
    }

    pub(super) const fn local_mut(&mut self) -> &mut Local {
        &mut self.local
    }

    /// Makes `addresses` the node's.
    ///
    /// # Errors
    /// The kernel refuses, or there are more addresses than the tables hold.
    pub fn set_local_addresses(&mut self, addresses: &LocalAddresses) -> Result<(), DatapathError> {
        let word = self.raw_word()?;
        let active = &mut self.active;
        self.local.set(addresses, |prefixes| {
            let word = word.with(ActiveWord::LOCAL_PREFIXES, prefixes);
            active.set(0, word, 0).map_err(writing("ACTIVE"))
        })
    }

    /// Has the next [`Self::set_local_addresses`] begin with what the kernel holds.
    pub fn distrust_local_addresses(&mut self) {
        self.local.distrust();
    }

    /// What became of packets so far, over all CPUs.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn counters(&self) -> Result<Vec<(Direction, Counter, Tally)>, DatapathError> {
        let mut counters = Vec::new();
        for direction in DIRECTIONS {
            for counter in Counter::all() {
                let index = counter_index(direction, counter);
                let values = self.counters.get(&index, 0).map_err(reading("COUNTERS"))?;
                counters.push((direction, counter, sum(&values)));
            }
        }
        Ok(counters)
    }

    /// The counters of the first `rules` rules of the generation `index`.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn rule_counters(&self, index: u32, rules: usize) -> Result<Vec<RuleTally>, DatapathError> {
        rule_ids(rules)
            .map(|rule| {
                self.rules
                    .get(&rule_index(index, rule), 0)
                    .map(|values| sum_of_rule(&values))
                    .map_err(reading("RULES"))
            })
            .collect()
    }

    /// Sets those counters to zero; the generation must not be in force.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn clear_rule_counters(
        &mut self,
        index: u32,
        rules: usize,
    ) -> Result<(), DatapathError> {
        for rule in rule_ids(rules) {
            self.rules
                .set(rule_index(index, rule), zeros()?, 0)
                .map_err(writing("RULES"))?;
        }
        Ok(())
    }

    /// Events that were not reported, ever: over the limit, or the buffer was full.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn lost_events(&self) -> Result<u64, DatapathError> {
        Ok(unreported(&self.budget)?.total())
    }

    /// The connections.
    #[must_use]
    pub const fn flows(&self) -> &Flows {
        &self.flows
    }

    /// The connections, to change them.
    pub const fn flows_mut(&mut self) -> &mut Flows {
        &mut self.flows
    }

    /// Forgets who has passed how much.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn clear_rates(&mut self) -> Result<(), DatapathError> {
        for bucket in 0..self.rates.len() {
            self.rates
                .set(bucket, RateBucket::default(), 0)
                .map_err(writing(RATES))?;
        }
        Ok(())
    }

    /// Forgets which flows were reported.
    pub fn clear_told(&mut self) {
        self.told.clear();
    }

    /// Forgets fragmented packets under way; returns how many were there.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn flush_fragments(&mut self) -> Result<usize, DatapathError> {
        flush(&mut self.fragments, self.fragments_room, "FRAGMENTS")
    }
}

/// A map of `directory` and the number of entries that it has room for.
pub(super) fn open_map<T>(directory: &Path, name: &'static str) -> Result<(T, u32), DatapathError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let data = open_data(directory, name)?;
    let room = data.info().map_err(reading(name))?.max_entries();
    let map = Map::from_map_data(data).map_err(reading(name))?;
    let map = T::try_from(map).map_err(|error| DatapathError::ForeignPins {
        path: directory.to_owned(),
        why: format!("{name}: {error}"),
    })?;
    Ok((map, room))
}

/// What is pinned in `directory` under `name`.
pub(super) fn open_data(directory: &Path, name: &str) -> Result<MapData, DatapathError> {
    MapData::from_pin(directory.join(name)).map_err(|error| {
        match super::error::io_cause(&error).map(std::io::Error::kind) {
            Some(std::io::ErrorKind::NotFound) => DatapathError::ForeignPins {
                path: directory.to_owned(),
                why: format!("{name} is missing"),
            },
            _ => DatapathError::aya(format!("opening the table {name}"), &error),
        }
    })
}

/// An array of `directory` that must have `length` entries.
pub(super) fn open_array<T>(
    directory: &Path,
    name: &'static str,
    length: u32,
) -> Result<T, DatapathError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let (map, room) = open_map(directory, name)?;
    if room != length {
        return Err(DatapathError::ForeignPins {
            path: directory.to_owned(),
            why: format!("{name} has {room} entries, not {length}"),
        });
    }
    Ok(map)
}

/// For `map_err`: reading the table failed.
pub(super) fn reading(name: &'static str) -> impl Fn(MapError) -> DatapathError {
    move |error| DatapathError::aya(format!("reading the table {name}"), &error)
}

/// For `map_err`: writing the table failed.
pub(super) fn writing(name: &'static str) -> impl Fn(MapError) -> DatapathError {
    move |error| DatapathError::aya(format!("writing the table {name}"), &error)
}

/// That an entry has gone by itself is no failure to remove it.
pub(super) fn present(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}

pub(super) fn is_missing(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound | MapError::ElementNotFound)
        || super::error::io_cause(error)
            .is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
}

/// The entries of a table that the datapath changes meanwhile: what disappears
/// under the reader is left out, and a walk that starts over ends all the same.
pub(super) fn entries<K: aya::Pod, V: aya::Pod>(
    map: &HashMap<MapData, K, V>,
    room: u32,
    name: &'static str,
) -> Result<Vec<(K, V)>, DatapathError> {
    let mut entries = Vec::new();
    for entry in map.iter().take(room as usize) {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(reading(name)(error)),
        }
    }
    Ok(entries)
}

fn flush<K: aya::Pod, V: aya::Pod>(
    map: &mut HashMap<MapData, K, V>,
    room: u32,
    name: &'static str,
) -> Result<usize, DatapathError> {
    let keys: Vec<K> = map
        .keys()
        .take(room as usize)
        .collect::<Result<_, _>>()
        .map_err(reading(name))?;
    for key in &keys {
        present(map.remove(key)).map_err(writing(name))?;
    }
    Ok(keys.len())
}

fn rule_ids(rules: usize) -> impl Iterator<Item = u16> {
    (0..=u16::MAX).take(rules.min(RULES as usize))
}

fn sum(values: &PerCpuValues<Tally>) -> Tally {
    values.iter().fold(Tally::default(), |all, cpu| Tally {
        packets: all.packets.wrapping_add(cpu.packets),
        bytes: all.bytes.wrapping_add(cpu.bytes),
    })
}

fn sum_of_rule(values: &PerCpuValues<RuleTally>) -> RuleTally {
    values
        .iter()
        .fold(RuleTally::default(), |all, cpu| RuleTally {
            packets: all.packets.wrapping_add(cpu.packets),
            bytes: all.bytes.wrapping_add(cpu.bytes),
            limited: all.limited.wrapping_add(cpu.limited),
        })
}

fn zeros() -> Result<PerCpuValues<RuleTally>, DatapathError> {
    let failed = |error| DatapathError::io("counting the CPUs", &error);
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| failed(error))?;
    PerCpuValues::try_from(vec![RuleTally::default(); cpus]).map_err(failed)
}
