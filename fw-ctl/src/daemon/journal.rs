//! The journal: what was in force, and what it was made from, for `fw-ctl rollback` and
//! `fw-ctl policy diff`.
//!
//! A file an entry, sealed, never changed after it was written. What of it may change,
//! whether it was confirmed, is in its name, which the file system changes whole:
//!
//! `<state dir>/journal/<generation>-<policy>-<all>[.unconfirmed].json`
//!
//! `<policy>` and `<all>` are the beginnings of digests: of configuration, policies and mode,
//! and of the inventory, too. Nothing in the directory keeps a daemon from starting: an
//! entry that is damaged is damaged, and what is no entry is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::confirmed::{Body, SCHEMAS};
use super::kept_lists::{KeptLists, hex};
use super::sealed::{self, Header};
use super::{Confirmed, atomic};
use crate::texts;
use crate::why::why;

const DIRECTORY: &str = "journal";
const EXTENSION: &str = ".json";
const UNCONFIRMED: &str = ".unconfirmed";
/// Confirmed entries that are kept.
const ENTRIES: usize = 32;
/// Of them, those of one policy: where pods come and go by the minute, the inventory must
/// not push out the policies.
const OF_ONE_POLICY: usize = 4;
/// Entries that nobody has confirmed, beside the confirmed ones: trials must not push out
/// what was in force between them.
const OF_TRIALS: usize = 4;
/// Bytes of entries and their lists together. The newest two that are confirmed are kept,
/// whatever their size.
const BYTES: u64 = 256 << 20;
const ALWAYS: usize = 2;
/// No generation has such a number: a file that is named so is none of ours.
const BEYOND: u64 = 1 << 48;

/// An entry, as its name tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Number of the generation.
    pub number: u64,
    /// It has never been on trial, or somebody has confirmed it.
    pub confirmed: bool,
    policy: String,
    all: String,
}

impl Entry {
    /// The entry of this generation.
    pub(super) fn of(plan: &Confirmed, confirmed: bool) -> Self {
        let Confirmed {
            number,
            mode,
            inputs,
            event: _,
        } = plan;
        let digests = inputs.digests();
        let mode = mode.name();
        let of = |digest: &str| hex(&Sha256::digest(format!("{mode} {digest}"))[..8]);
        Self {
            number: *number,
            confirmed,
            policy: of(&digests.policy),
            all: of(&digests.all),
        }
    }

    /// Whether both were made from the same policies and configuration, in the same mode.
    pub(super) fn has_policy_of(&self, other: &Self) -> bool {
        self.policy == other.policy
    }

    fn file_name(&self) -> String {
        let Self {
            number,
            policy,
            all,
            ..
        } = self;
        let outcome = if self.confirmed { "" } else { UNCONFIRMED };
        format!("{number:08}-{policy}-{all}{outcome}{EXTENSION}")
    }

    fn parse(name: &str) -> Option<Self> {
        let name = name.strip_suffix(EXTENSION)?;
        let (name, confirmed) = match name.strip_suffix(UNCONFIRMED) {
            Some(name) => (name, false),
            None => (name, true),
        };
        let mut parts = name.split('-');
        let number = parts.next()?.parse().ok()?;
        let entry = Self {
            number: (number < BEYOND).then_some(number)?,
            confirmed,
            policy: parts.next()?.to_owned(),
            all: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(entry)
    }
}

/// Where the entries are.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
    lists: KeptLists,
    /// [`BYTES`].
    room: u64,
}

impl Journal {
    /// The journal of a state directory. Nothing is read or written.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self {
            directory: state.join(DIRECTORY),
            lists: KeptLists::new(state),
            room: BYTES,
        }
    }

    /// Every entry, the newest last; none where the directory cannot be read.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let files = fs::read_dir(&self.directory).into_iter().flatten();
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let mut entries: Vec<_> = names.filter_map(|name| Entry::parse(&name)).collect();
        entries.sort();
        entries
    }

    /// Why the entries cannot be listed, in a line, if they cannot.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let error = fs::read_dir(&self.directory).err()?;
        if error.kind() == io::ErrorKind::NotFound {
            return None;
        }
        Some(format!(
            "the journal {} cannot be read: {}; try: if it is no directory, move it away",
            self.directory.display(),
            why(&error)
        ))
    }

    /// The entry of the generation `number`.
    #[must_use]
    pub fn find(&self, number: u64) -> Option<Entry> {
        let mut entries = self.entries().into_iter().rev();
        entries.find(|entry| entry.number == number)
    }

    /// What an entry holds.
    ///
    /// # Errors
    /// Why it cannot be had, in a line.
    pub fn load(&self, entry: &Entry) -> Result<Confirmed, String> {
        let path = self.path(entry);
        let wrong = |reason: String| {
            format!(
                "entry {} of the journal ({}) cannot be used: {reason}",
                entry.number,
                path.display()
            )
        };
        let text = texts::read_to_string(&path).map_err(|error| wrong(why(&error)))?;
        let body: Body = sealed::read(&text, &SCHEMAS).map_err(wrong)?;
        body.into_confirmed(&self.lists).map_err(wrong)
    }

    /// The newest confirmed entry, if it was made from the same files.
    #[must_use]
    pub(super) fn same(&self, plan: &Confirmed) -> Option<Confirmed> {
        let entry = self.newest()?;
        let same = entry.all == Entry::of(plan, true).all;
        same.then(|| self.load(&entry).ok())?
    }

    /// The newest confirmed entry.
    pub(super) fn newest(&self) -> Option<Entry> {
        let mut entries = self.entries().into_iter().rev();
        entries.find(|entry| entry.confirmed)
    }

    /// Adds an entry, and forgets the oldest if there are too many. `text` is its sealed
    /// body. Never a link to the record of what is in force, though that says the same:
    /// what damages one file must not damage both.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn add(&self, entry: &Entry, text: &str) -> io::Result<()> {
        fs::create_dir_all(&self.directory).map_err(|error| {
            let directory = self.directory.display();
            let reason = format!("the journal {directory} is no directory: {}", why(&error));
            io::Error::new(error.kind(), reason)
        })?;
        atomic::replace(&self.directory, &entry.file_name(), text.as_bytes())?;
        // It is there; that others are still there, too, is no reason to call it lost.
        if let Err(error) = self.forget(entry) {
            tracing::warn!("{}: {}", self.directory.display(), why(&error));
        }
        Ok(())
    }

    /// Notes that an entry is confirmed.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub(super) fn confirm(&self, number: u64) -> io::Result<()> {
        let Some(entry) = self.find(number).filter(|entry| !entry.confirmed) else {
            return Ok(());
        };
        let old = self.path(&entry);
        let confirmed = Entry {
            confirmed: true,
            ..entry
        };
        fs::rename(old, self.path(&confirmed))?;
        atomic::sync(&self.directory)
    }

    /// Forgets a generation that has never been in force.
    pub(super) fn remove(&self, number: u64) {
        if let Some(entry) = self.find(number) {
            // One too many does no harm.
            let _ = fs::remove_file(self.path(&entry));
        }
    }

    /// Lists that entries need.
    pub(super) fn lists(&self) -> BTreeSet<String> {
        let entries = self.entries();
        entries
            .iter()
            .flat_map(|entry| self.lists_of(entry))
            .collect()
    }

    /// Of one that is damaged none.
    fn lists_of(&self, entry: &Entry) -> BTreeSet<String> {
        header(&self.path(entry)).map_or_else(BTreeSet::new, |header| header.lists)
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.directory.join(entry.file_name())
    }

    /// Removes what is too much now that `new` is there, and what it is in the place of: the
    /// same generation in another mode, or one before it that was made from the same files.
    fn forget(&self, new: &Entry) -> io::Result<()> {
        let mut others = self.entries();
        others.retain(|old| old != new);
        let last = others.iter().rev().find(|old| old.confirmed);
        let same = last.filter(|old| new.confirmed && old.all == new.all);
        for old in &others {
            if old.number == new.number || Some(old) == same {
                fs::remove_file(self.path(old))?;
            }
        }
        let mut of_policy = BTreeMap::<String, usize>::new();
        let (mut kept, mut of_trials, mut bytes, mut lists) = (0, 0, 0, BTreeSet::new());
        let size = |path: &Path| fs::metadata(path).map_or(0, |data| data.len());
        for entry in self.entries().into_iter().rev() {
            let path = self.path(&entry);
            let of_policy = of_policy.entry(entry.policy.clone()).or_default();
            *of_policy += usize::from(entry.confirmed);
            let unknown = self.lists_of(&entry);
            let unknown: Vec<_> = unknown.difference(&lists).cloned().collect();
            let of_lists = unknown.iter().map(|list| size(&self.lists.path(list)));
            bytes += size(&path) + of_lists.sum::<u64>();
            let fits = bytes <= self.room;
            let (keep, kept_of_kind) = if entry.confirmed {
                let some = kept < ENTRIES && *of_policy <= OF_ONE_POLICY;
                (kept < ALWAYS || some && fits, &mut kept)
            } else {
                let is_new = entry == *new;
                (is_new || of_trials < OF_TRIALS && fits, &mut of_trials)
            };
            if keep {
                *kept_of_kind += 1;
                lists.extend(unknown);
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// First line of a sealed file.
pub(super) fn header(path: &Path) -> Option<Header> {
    let mut line = String::new();
    let file = texts::open(path).ok()?;
    BufReader::new(file).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
