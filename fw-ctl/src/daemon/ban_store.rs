//! The bans on disk: they outlast a reboot, after which nothing is pinned.
//!
//! They are a file of all, and a journal of what has changed since. A change is appended
//! to that, which takes as long with one ban as with 65,536; the file is written
//! anew when the journal would be longer than it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::ban_journal::{self, BanJournal, Change, Found};
use super::{atomic, sealed};
use crate::control::protocol::MAX_REASON;
use crate::moment;
use crate::printable::printable;
use crate::texts;
use crate::why::why;

const FILE: &str = "bans.json";
/// Of the file, whose body is a list of [`Ban`]s.
const SCHEMA: u32 = 1;

/// An address that is banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The address.
    pub address: IpAddr,
    /// When it was banned; seconds since 1970.
    pub since: u64,
    /// When that ends; `None`: never.
    pub until: Option<u64>,
    /// What the operator said about it.
    pub reason: String,
}

impl Ban {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl std::fmt::Display for Ban {
    /// `192.0.2.1 is banned until 2026-11-21T04:06:23Z: scanner`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is banned", self.address)?;
        match self.until {
            Some(until) => write!(f, " until {}", moment::rfc3339(until))?,
            None => write!(f, " for good")?,
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// The file of all bans, with its journal.
#[derive(Debug)]
struct Stored {
    /// Bytes of the file.
    length: u64,
    journal: BanJournal,
}

/// Every ban, and the files that keep them.
#[derive(Debug)]
pub struct BanStore {
    directory: PathBuf,
    bans: BTreeMap<IpAddr, Ban>,
    /// Whose bans are other ones than those that are stored.
    changed: BTreeSet<IpAddr>,
    /// What changes can be appended to; `None`: they all are to be written.
    stored: Option<Stored>,
    /// What of the stored bans could not be read.
    damaged: Option<String>,
    /// Why the present bans are not stored.
    unsaved: Option<String>,
}

impl BanStore {
    /// Reads what a former daemon has stored in `directory`. A file that cannot be
    /// read keeps no node from being filtered: see [`Self::trouble`].
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let read = read(directory);
        Self {
            directory: directory.to_owned(),
            bans: read.bans,
            changed: BTreeSet::new(),
            stored: read.stored,
            damaged: read.damaged,
            unsaved: None,
        }
    }

    /// Every ban by its address, also those that have run out.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<IpAddr, Ban> {
        &self.bans
    }

    /// Takes a ban, in the place of a former one of its address. To be kept by
    /// [`Self::save`].
    pub fn insert(&mut self, ban: Ban) {
        self.changed.insert(ban.address);
        self.bans.insert(ban.address, ban);
    }

    /// Forgets a ban; likewise.
    pub fn remove(&mut self, address: &IpAddr) -> Option<Ban> {
        let removed = self.bans.remove(address)?;
        self.changed.insert(*address);
        Some(removed)
    }

    /// Keeps what was changed. What cannot be stored counts until
    /// the process ends: see [`Self::trouble`].
    pub fn save(&mut self) {
        self.damaged = None;
        self.unsaved = self.write().err().map(|error| {
            format!(
                "the bans will not outlast a reboot: they cannot be stored in {}: {}; try: check \
                 that `paths.state_dir` is a writable directory with free space",
                self.directory.join(FILE).display(),
                why(&error)
            )
        });
    }

    /// The same for a change that nobody asked for: that the file was damaged is still
    /// told.
    pub fn save_beside_damage(&mut self) {
        let damaged = self.damaged.take();
        self.save();
        self.damaged = damaged;
    }

    /// What is wrong with what is stored, in a line. Tries again to store what could
    /// not be.
    pub fn trouble(&mut self) -> Option<String> {
        if self.unsaved.is_some() {
            self.save();
        }
        let damaged = self.damaged.as_ref().map(|what| {
            format!(
                "{what}; those that the kernel still held are in force; try: fw-ctl ban list, and \
                 ban what is missing"
            )
        });
        damaged.or_else(|| self.unsaved.clone())
    }

    fn write(&mut self) -> std::io::Result<()> {
        // Whatever goes wrong with appending, writing all of them puts it right.
        let stored = self.stored.take();
        self.stored = match stored.and_then(|stored| self.append(stored)) {
            Some(stored) => Some(stored),
            None => self.write_all()?,
        };
        self.changed.clear();
        Ok(())
    }

    /// Appends the changes to the journal, if there is room in it.
    fn append(&self, mut stored: Stored) -> Option<Stored> {
        let file = self.directory.join(FILE).metadata();
        let there = file.is_ok_and(|file| file.len() == stored.length);
        if self.bans.is_empty() || !there {
            return None;
        }
        let changes = self.changed.iter().map(|address| {
            let ban = self.bans.get(address).cloned();
            ban.map_or(Change::Lifted(*address), Change::Banned)
        });
        let appended = stored.journal.append(changes, stored.length);
        appended.is_ok_and(|appended| appended).then_some(stored)
    }

    /// Writes them all. First the file, then the journal: that is nothing without its
    /// file, and what is in it is in the new one.
    fn write_all(&self) -> std::io::Result<Option<Stored>> {
        let directory = &self.directory;
        if self.bans.is_empty() {
            atomic::remove(directory, FILE)?;
            ban_journal::remove(directory)?;
            return Ok(None);
        }
        let bans: Vec<_> = self.bans.values().collect();
        // Of one file only, also if the next one has the same bans in it.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let name = format!("{:x}", since.unwrap_or_default().as_nanos());
        let text = sealed::seal_before(SCHEMA, name.clone(), &bans)?;
        atomic::replace(directory, FILE, text.as_bytes())?;
        ban_journal::remove(directory)?;
        Ok(Some(Stored {
            length: text.len() as u64,
            journal: BanJournal::new(directory, name, 0),
        }))
    }
}

/// What was found on disk.
#[derive(Default)]
struct Read {
    bans: BTreeMap<IpAddr, Ban>,
    /// `None`: there is nothing, or it is damaged.
    stored: Option<Stored>,
    damaged: Option<String>,
}

fn read(directory: &Path) -> Read {
    let path = directory.join(FILE);
    let (text, bans) = match texts::read_to_string(&path) {
        Ok(text) => {
            let bans = sealed::read(&text, &(SCHEMA..=SCHEMA));
            (text, bans)
        }
        Err(error) if atomic::is_absent(&error) => return Read::default(),
        Err(error) => (String::new(), Err(why(&error))),
    };
    let (bans, damaged): (Vec<Ban>, _) = match bans {
        Ok(bans) => (bans, None),
        Err(reason) => {
            let path = path.display();
            let damaged = format!("the stored bans {path} cannot be read: {reason}");
            (Vec::new(), Some(damaged))
        }
    };
    let name = sealed::journal(&text);
    let journal = match &name {
        // An earlier version wrote it, which knows no journal.
        None if damaged.is_none() => Found::default(),
        name => ban_journal::read(directory, name.as_deref()),
    };
    let mut all: BTreeMap<_, _> = bans
        .into_iter()
        .map(|ban| (ban.address, fit(ban)))
        .collect();
    for change in journal.changes {
        match change {
            Change::Banned(ban) => all.insert(ban.address, fit(ban)),
            Change::Lifted(address) => all.remove(&address),
        };
    }
    let damaged: Vec<_> = damaged.into_iter().chain(journal.damaged).collect();
    let stored = name.filter(|_| damaged.is_empty()).map(|name| Stored {
        length: text.len() as u64,
        journal: BanJournal::new(directory, name, journal.length),
    });
    Read {
        bans: all,
        stored,
        damaged: (!damaged.is_empty()).then(|| damaged.join("; ")),
    }
}

/// A ban of an earlier version, whose reason could be longer and show more than itself.
fn fit(mut ban: Ban) -> Ban {
    ban.reason = printable(&ban.reason);
    let end = ban.reason.floor_char_boundary(MAX_REASON);
    ban.reason.truncate(end);
    ban
}

#[cfg(test)]
#[path = "ban_store_tests.rs"]
mod tests;
