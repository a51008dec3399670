//! The sums on disk. What the kernel counts outlasts the daemon by itself; the file keeps
//! what older plans have counted, and what outlasts a boot.

use std::collections::HashMap;
use std::path::Path;

use fw_common::wire::RuleTally;
use serde::{Deserialize, Serialize};

use super::names::NamedTotals;
use super::{Counted, Generation, RuleId, Sums};
use crate::daemon::shelf::Shelf;

const FILE: &str = "rules.json";
/// What it keeps.
const WHAT: &str = "what rules have counted";
/// Of the file, whose body is a [`Stored`].
const SCHEMA: u32 = 1;
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Packets, bytes, packets beyond the rate.
type Numbers = [u64; 3];

#[derive(Serialize, Deserialize)]
struct Stored {
    /// The boot that it was written in: counters of the kernel end with it.
    boot: String,
    /// Rule, numbers, since when, and last.
    counted: Vec<(RuleId, Numbers, u64, Option<u64>)>,
    /// Number, rules, and what was read of each.
    generations: Vec<(u64, Vec<RuleId>, Vec<Numbers>)>,
}

/// The sums, and the file that keeps them.
pub struct TallyStore {
    file: Shelf,
    boot: String,
    /// What is counted, by what a rule says.
    pub sums: Sums,
    /// The same since the daemon started, by what a rule is called.
    pub named: NamedTotals,
    /// The sums are not as they are on disk.
    pub changed: bool,
}

impl TallyStore {
    /// Reads what a former daemon has stored in `directory`. Of a file that cannot be read
    /// nothing depends but what `fw-ctl rules` tells.
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let boot = std::fs::read_to_string(BOOT).unwrap_or_default();
        Self::open_in(directory, boot.trim())
    }

    fn open_in(directory: &Path, boot: &str) -> Self {
        let (file, stored) = Shelf::open(directory, FILE, SCHEMA, WHAT);
        Self {
            file,
            boot: boot.to_owned(),
            sums: stored.map_or_else(Sums::default, |stored: Stored| stored.sums(boot)),
            named: NamedTotals::default(),
            changed: false,
        }
    }

    /// Takes what the counters of generation `number` were at `now`.
    pub fn take(&mut self, number: u64, tallies: &[RuleTally], now: u64) {
        if let Some(more) = self.sums.take(number, tallies, now) {
            self.named.add(number, &more);
            self.changed = true;
        }
    }

    /// Writes what has changed. What cannot be written is said once in a while, and counts
    /// on.
    pub fn save(&mut self) {
        if !self.changed {
            return;
        }
        let stored = Stored {
            boot: self.boot.clone(),
            counted: self.sums.counted.iter().map(stored).collect(),
            generations: self.sums.generations.iter().map(generation).collect(),
        };
        self.file.write(&stored);
        self.changed = self.file.is_unsaved();
    }

    /// What whoever reads the sums has to know, a line each.
    pub fn notes(&self) -> impl Iterator<Item = &String> {
        self.file.notes()
    }
}

fn numbers(tally: &RuleTally) -> Numbers {
    [tally.packets, tally.bytes, tally.limited]
}

fn tally([packets, bytes, limited]: Numbers) -> RuleTally {
    RuleTally {
        packets,
        bytes,
        limited,
    }
}

fn stored((rule, counted): (&RuleId, &Counted)) -> (RuleId, Numbers, u64, Option<u64>) {
    let Counted { tally, since, last } = counted;
    (*rule, numbers(tally), *since, *last)
}

fn generation(known: &Generation) -> (u64, Vec<RuleId>, Vec<Numbers>) {
    let read = known.read.iter().map(numbers).collect();
    (known.number, known.rules.clone(), read)
}

impl Stored {
    fn sums(self, boot: &str) -> Sums {
        let counted: HashMap<_, _> = self
            .counted
            .into_iter()
            .map(|(rule, numbers, since, last)| {
                let tally = tally(numbers);
                (rule, Counted { tally, since, last })
            })
            .collect();
        // Of another boot the kernel holds no counters, and numbers of generations come again.
        let of_now = self.boot == boot && !boot.is_empty();
        let generations = self.generations.into_iter().filter(|_| of_now);
        let generations = generations
            .filter(|(_, rules, read)| rules.len() == read.len())
            .map(|(number, rules, read)| Generation {
                number,
                rules,
                read: read.into_iter().map(tally).collect(),
            })
            .collect();
        Sums {
            counted,
            generations,
        }
    }
}

impl Serialize for RuleId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for RuleId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = (text.len() == 32)
            .then(|| u128::from_str_radix(&text, 16).ok())
            .flatten();
        let number = number.ok_or_else(|| serde::de::Error::custom("32 hexadecimal digits"))?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(directory: &Path) -> TallyStore {
        let mut store = TallyStore::open_in(directory, "boot-1");
        let rules = vec![RuleId([1; 16]), RuleId([0xab; 16])];
        store.sums.installed(7, rules, 100);
        let tallies = [tally([3, 180, 0]), tally([5, 300, 2])];
        store.sums.take(7, &tallies, 110);
        store.changed = true;
        store.save();
        assert!(!store.changed);
        store
    }

    #[test]
    fn a_daemon_goes_on_where_the_former_was_and_after_a_boot_with_the_sums() {
        let directory = tempfile::tempdir().unwrap();
        let store = filled(directory.path());
        let again = TallyStore::open_in(directory.path(), "boot-1");
        assert_eq!(again.sums, store.sums);
        let mut boot = TallyStore::open_in(directory.path(), "boot-2");
        assert_eq!(boot.sums.wanted(), []);
        let rule = RuleId([0xab; 16]);
        assert_eq!(boot.sums.of(&rule), store.sums.of(&rule));
        // The same number, and other counters.
        boot.sums.installed(7, vec![rule], 200);
        boot.sums.take(7, &[tally([6, 360, 2])], 210);
        let counted = boot.sums.of(&rule).unwrap();
        assert_eq!(numbers(&counted.tally), [11, 660, 4]);
        assert_eq!((counted.since, counted.last), (100, Some(210)));
    }

    #[test]
    fn what_could_not_be_stored_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let mut store = TallyStore::open_in(&state, "boot-1");
        std::fs::write(&state, "").unwrap();
        store.changed = true;
        store.save();
        assert!(store.changed);
        assert_eq!(store.notes().count(), 1);
        std::fs::remove_file(&state).unwrap();
        store.save();
        assert!(!store.changed);
        assert_eq!(store.notes().count(), 0);
    }
}
