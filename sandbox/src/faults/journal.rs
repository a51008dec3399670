//! Is everything in the journal that was in it, and what has changed since?
//!
//! What the daemon may forget is stated here once more, by the names of the files:
//! `<generation>-<policy>-<all>[.unconfirmed].json`. An entry gives way to a newer one of
//! the same files, and when there are too many of a policy, or at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Entries of one policy that are kept.
const OF_ONE_POLICY: usize = 4;
/// Entries that are kept.
const ENTRIES: usize = 32;
/// Beside them, entries that nobody has confirmed.
const OF_TRIALS: usize = 4;

/// An entry, as the name of its file tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its generation.
    pub number: u64,
    /// Whether it has been confirmed, or never had to be.
    pub confirmed: bool,
    policy: String,
    all: String,
    /// Its file.
    pub name: String,
}

impl Entry {
    fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".json")?;
        let (stem, confirmed) = match stem.strip_suffix(".unconfirmed") {
            Some(stem) => (stem, false),
            None => (stem, true),
        };
        let mut parts = stem.split('-');
        let mut part = || Some(parts.next()?.to_owned());
        Some(Self {
            number: part()?.parse().ok()?,
            policy: part()?,
            all: part()?,
            confirmed,
            name: name.to_owned(),
        })
    }
}

/// Every entry under a state directory, the oldest first.
#[must_use]
pub fn entries(state: &Path) -> Vec<Entry> {
    let files = fs::read_dir(state.join("journal")).into_iter().flatten();
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let mut entries: Vec<_> = names.filter_map(|name| Entry::parse(&name)).collect();
    entries.sort();
    entries
}

/// What is not there any more, though it should be. `excused`: files that were damaged or
/// taken away on purpose.
#[must_use]
pub fn lost<'a>(
    before: &'a [Entry],
    after: &[Entry],
    excused: &BTreeSet<String>,
) -> Vec<&'a Entry> {
    let is_there = |old: &Entry| {
        after
            .iter()
            .any(|entry| entry.number == old.number && entry.all == old.all)
    };
    let gives_way = |old: &Entry| {
        let newer = || after.iter().filter(|entry| entry.number >= old.number);
        let of_kind = || newer().filter(|entry| entry.confirmed == old.confirmed);
        let full = if old.confirmed {
            let of_policy = of_kind().filter(|entry| entry.policy == old.policy);
            of_policy.count() >= OF_ONE_POLICY || of_kind().count() >= ENTRIES
        } else {
            of_kind().count() >= OF_TRIALS
        };
        full || newer().any(|entry| entry.all == old.all)
    };
    let wanted = before.iter().filter(|old| !excused.contains(&old.name));
    wanted
        .filter(|old| !is_there(old) && !gives_way(old))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry::parse(name).unwrap()
    }

    fn lost_of(before: &[&str], after: &[&str], excused: &[&str]) -> Vec<u64> {
        let [before, after] =
            [before, after].map(|names| names.iter().map(|name| entry(name)).collect::<Vec<_>>());
        let excused = excused.iter().map(|&name| name.to_owned()).collect();
        let lost = lost(&before, &after, &excused);
        lost.into_iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn an_entry_is_read_by_its_name() {
        let read = entry("00000007-aa-bb.unconfirmed.json");
        assert_eq!((read.number, read.confirmed), (7, false));
        for name in ["7-aa.json", "7-aa-bb", "x-aa-bb.json", "7-aa-bb.json.new"] {
            assert_eq!(Entry::parse(name), None, "{name}");
        }
    }

    #[test]
    fn what_goes_without_a_reason_is_lost() {
        let (one, two) = ("1-a-aa.json", "2-b-bb.json");
        assert_eq!(lost_of(&[one, two], &[one, two], &[]), [0; 0]);
        assert_eq!(lost_of(&[one, two], &[two], &[]), [1]);
        assert_eq!(lost_of(&[one, two], &[two], &[one]), [0; 0], "on purpose");
        let confirmed = "2-b-bb.json";
        assert_eq!(
            lost_of(&["2-b-bb.unconfirmed.json"], &[confirmed], &[]),
            [0; 0]
        );
    }

    #[test]
    fn an_entry_gives_way_to_newer_ones() {
        assert_eq!(lost_of(&["1-a-aa.json"], &["3-a-aa.json"], &[]), [0; 0]);
        let newer = ["2-a-b.json", "3-a-c.json", "4-a-d.json", "5-a-e.json"];
        assert_eq!(lost_of(&["1-a-aa.json"], &newer, &[]), [0; 0]);
        assert_eq!(lost_of(&["1-a-aa.json"], &newer[..3], &[]), [1]);
        let others: Vec<_> = (2..40).map(|n| format!("{n}-p{n}-a{n}.json")).collect();
        let others: Vec<_> = others.iter().map(String::as_str).collect();
        assert_eq!(lost_of(&["1-a-aa.json"], &others, &[]), [0; 0]);
        assert_eq!(lost_of(&["1-a-aa.json"], &others[..31], &[]), [1]);
    }

    #[test]
    fn trials_push_out_trials_only() {
        let trials: Vec<_> = (2..40)
            .map(|n| format!("{n}-p{n}-a{n}.unconfirmed.json"))
            .collect();
        let trials: Vec<_> = trials.iter().map(String::as_str).collect();
        assert_eq!(lost_of(&["1-a-aa.json"], &trials, &[]), [1]);
        let trial = ["1-a-aa.unconfirmed.json"];
        assert_eq!(lost_of(&trial, &trials[..4], &[]), [0; 0]);
        assert_eq!(lost_of(&trial, &trials[..3], &[]), [1]);
    }
}
