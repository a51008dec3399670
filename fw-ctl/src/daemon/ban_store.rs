//! The bans on disk: they outlast a reboot, after which nothing is pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{atomic, sealed};
use crate::moment;
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

/// Every ban, and the file that keeps them.
#[derive(Debug)]
pub struct BanStore {
    directory: PathBuf,
    bans: BTreeMap<IpAddr, Ban>,
    damaged: Option<String>,
    /// Why the present bans are not stored.
    unsaved: Option<String>,
}

impl BanStore {
    /// Reads what a former daemon has stored in `directory`. A file that cannot be
    /// read keeps no node from being filtered: see [`Self::trouble`].
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let (bans, damaged) = match read(&directory.join(FILE)) {
            Ok(bans) => (bans, None),
            Err(reason) => (BTreeMap::new(), Some(reason)),
        };
        Self {
            directory: directory.to_owned(),
            bans,
            damaged,
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
        self.bans.insert(ban.address, ban);
    }

    /// Forgets a ban; likewise.
    pub fn remove(&mut self, address: &IpAddr) -> Option<Ban> {
        self.bans.remove(address)
    }

    /// Keeps what was changed, whole or not at all. What cannot be stored counts until
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
        let path = self.directory.join(FILE);
        let damaged = self.damaged.as_ref().map(|reason| {
            format!(
                "the stored bans {} cannot be read: {reason}; those that the kernel still held \
                 are in force; try: fw-ctl ban list, and ban what is missing",
                path.display()
            )
        });
        damaged.or_else(|| self.unsaved.clone())
    }

    fn write(&self) -> std::io::Result<()> {
        if self.bans.is_empty() {
            return atomic::remove(&self.directory, FILE);
        }
        let bans: Vec<_> = self.bans.values().collect();
        let text = sealed::seal(SCHEMA, BTreeSet::new(), &bans)?;
        atomic::replace(&self.directory, FILE, text.as_bytes())
    }
}

fn read(path: &Path) -> Result<BTreeMap<IpAddr, Ban>, String> {
    let text = match texts::read_to_string(path) {
        Ok(text) => text,
        Err(error) if atomic::is_absent(&error) => return Ok(BTreeMap::new()),
        Err(error) => return Err(why(&error)),
    };
    let bans: Vec<Ban> = sealed::read(&text, &(SCHEMA..=SCHEMA))?;
    Ok(bans.into_iter().map(|ban| (ban.address, ban)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(address: &str, until: Option<u64>) -> Ban {
        Ban {
            address: address.parse().unwrap(),
            since: 1_795_233_000,
            until,
            reason: "it \"scans\"".into(),
        }
    }

    #[test]
    fn bans_survive_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let mut store = BanStore::open(&state);
        assert!(store.all().is_empty() && store.trouble().is_none());
        store.insert(ban("192.0.2.1", None));
        store.insert(ban("2001:db8::1", Some(1_795_233_983)));
        store.save();
        assert_eq!(store.trouble(), None);
        let again = BanStore::open(&state);
        assert_eq!(again.all(), store.all());
        store.remove(&"192.0.2.1".parse().unwrap()).unwrap();
        store.save();
        assert_eq!(BanStore::open(&state).all().len(), 1);
        store.remove(&"2001:db8::1".parse().unwrap()).unwrap();
        store.save();
        let left: Vec<_> = std::fs::read_dir(&state).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_damaged_file_is_told_until_something_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = BanStore::open(dir.path());
        store.insert(ban("192.0.2.1", None));
        store.save();
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for (damaged, reason) in [
            (text.replace("192.0.2.1", "192.0.2.2"), "damaged"),
            (text[..text.len() - 5].to_owned(), "damaged"),
            (
                text.replace("\"schema\":1", "\"schema\":9"),
                "schema 9, not 1",
            ),
            (String::new(), "EOF"),
        ] {
            std::fs::write(&path, damaged).unwrap();
            let mut store = BanStore::open(dir.path());
            assert!(store.all().is_empty());
            let told = store.trouble().unwrap();
            assert!(told.contains(reason), "{told}");
            store.insert(ban("192.0.2.3", None));
            store.save();
            assert_eq!(store.trouble(), None);
            assert_eq!(BanStore::open(dir.path()).all(), store.all());
        }
    }

    #[test]
    fn bans_that_cannot_be_stored_count_and_are_stored_when_they_can() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "").unwrap();
        let mut store = BanStore::open(&path);
        store.insert(ban("192.0.2.1", None));
        store.save();
        let told = store.trouble().unwrap();
        assert!(told.contains("paths.state_dir"), "{told}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.trouble(), None);
        assert_eq!(BanStore::open(&path).all(), store.all());
    }

    #[test]
    fn a_ban_in_words() {
        assert_eq!(
            ban("192.0.2.1", Some(1_795_233_983)).to_string(),
            "192.0.2.1 is banned until 2026-11-21T04:06:23Z: it \"scans\""
        );
        let plain = Ban {
            reason: String::new(),
            ..ban("2001:db8::1", None)
        };
        assert_eq!(plain.to_string(), "2001:db8::1 is banned for good");
    }
}
