//! The sums on disk. What the kernel counts outlasts the daemon by itself; the file keeps
//! what older plans have counted, and what outlasts a boot.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fw_common::wire::RuleTally;
use serde::{Deserialize, Serialize};

use super::{Counted, Generation, Ledger, RuleId};
use crate::daemon::{atomic, sealed};
use crate::texts;
use crate::why::why;

const FILE: &str = "rules.json";
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

/// The ledger, and the file that keeps it.
pub struct TallyStore {
    directory: PathBuf,
    boot: String,
    /// What is counted.
    pub ledger: Ledger,
    /// The ledger is not as it is on disk.
    pub changed: bool,
}

impl TallyStore {
    /// Reads what a former daemon has stored in `directory`. A file that cannot be read is
    /// set aside: nothing depends on it but what `fw-ctl rules` tells.
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let boot = std::fs::read_to_string(BOOT).unwrap_or_default();
        Self::open_in(directory, boot.trim())
    }

    fn open_in(directory: &Path, boot: &str) -> Self {
        let path = directory.join(FILE);
        let ledger = match read(&path, boot) {
            Ok(ledger) => ledger,
            Err(reason) => {
                let aside = directory.join(format!("{FILE}.broken"));
                let kept = match std::fs::rename(&path, &aside) {
                    Ok(()) => format!("it is now {}", aside.display()),
                    Err(error) => format!("and cannot be set aside: {}", why(&error)),
                };
                let path = path.display();
                tracing::warn!("counters of rules begin anew: {path}: {reason}; {kept}");
                Ledger::default()
            }
        };
        Self {
            directory: directory.to_owned(),
            boot: boot.to_owned(),
            ledger,
            changed: false,
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
            counted: self.ledger.counted.iter().map(stored).collect(),
            generations: self.ledger.generations.iter().map(generation).collect(),
        };
        let text = sealed::seal(SCHEMA, std::collections::BTreeSet::new(), &stored);
        let written = text
            .map_err(std::io::Error::from)
            .and_then(|text| atomic::replace(&self.directory, FILE, text.as_bytes()));
        match written {
            Ok(()) => self.changed = false,
            Err(error) => {
                let path = self.directory.join(FILE);
                let (path, why) = (path.display(), why(&error));
                tracing::warn!("counters of rules cannot be stored in {path}: {why}");
            }
        }
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

fn read(path: &Path, boot: &str) -> Result<Ledger, String> {
    let text = match texts::read_to_string(path) {
        Ok(text) => text,
        Err(error) if atomic::is_absent(&error) => return Ok(Ledger::default()),
        Err(error) => return Err(why(&error)),
    };
    let stored: Stored = sealed::read(&text, &(SCHEMA..=SCHEMA))?;
    let counted: HashMap<_, _> = stored
        .counted
        .into_iter()
        .map(|(rule, numbers, since, last)| {
            let tally = tally(numbers);
            (rule, Counted { tally, since, last })
        })
        .collect();
    // Of another boot the kernel holds no counters, and numbers of generations come again.
    let of_now = stored.boot == boot && !boot.is_empty();
    let generations = stored.generations.into_iter().filter(|_| of_now);
    let generations = generations
        .filter(|(_, rules, read)| rules.len() == read.len())
        .map(|(number, rules, read)| Generation {
            number,
            rules,
            read: read.into_iter().map(tally).collect(),
        })
        .collect();
    Ok(Ledger {
        counted,
        generations,
    })
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
        store.ledger.installed(7, rules, 100);
        let tallies = [tally([3, 180, 0]), tally([5, 300, 2])];
        store.ledger.take(7, &tallies, 110);
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
        assert_eq!(again.ledger, store.ledger);
        let mut boot = TallyStore::open_in(directory.path(), "boot-2");
        assert_eq!(boot.ledger.wanted(), []);
        let rule = RuleId([0xab; 16]);
        assert_eq!(boot.ledger.of(&rule), store.ledger.of(&rule));
        // The same number, and other counters.
        boot.ledger.installed(7, vec![rule], 200);
        boot.ledger.take(7, &[tally([6, 360, 2])], 210);
        let counted = boot.ledger.of(&rule).unwrap();
        assert_eq!(numbers(&counted.tally), [11, 660, 4]);
        assert_eq!((counted.since, counted.last), (100, Some(210)));
    }

    #[test]
    fn a_broken_file_is_set_aside_and_a_lost_directory_is_no_failure() {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path());
        let path = directory.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for broken in [
            text.replace("[3,180,0]", "[4,180,0]"),
            text[..text.len() / 2].to_owned(),
            String::new(),
            "{}\n{}\n".to_owned(),
        ] {
            std::fs::write(&path, &broken).unwrap();
            let store = TallyStore::open_in(directory.path(), "boot-1");
            assert_eq!(store.ledger, Ledger::default(), "{broken}");
            let aside = directory.path().join("rules.json.broken");
            assert_eq!(std::fs::read_to_string(aside).unwrap(), broken);
            assert!(!path.exists());
        }
        let state = directory.path().join("state");
        let mut store = TallyStore::open_in(&state, "boot-1");
        std::fs::write(&state, "").unwrap();
        store.changed = true;
        store.save();
        assert!(store.changed, "it is tried again");
        std::fs::remove_file(&state).unwrap();
        store.save();
        assert!(!store.changed);
    }
}
