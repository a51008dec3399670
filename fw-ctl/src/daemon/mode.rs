//! The mode that `fw-ctl mode` set. It outlives restarts: a node that was put into
//! enforce mode by hand must not come back in audit mode, nor the other way round.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic;
use crate::compile::plan::Mode;
use crate::control::protocol::ModeChange;
use crate::texts;
use crate::why::why;

const FILE: &str = "mode.json";
const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: u32,
    mode: Word,
}

/// A mode as it is stored.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    Audit,
    Enforce,
}

impl From<Mode> for Word {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Audit => Self::Audit,
            Mode::Enforce => Self::Enforce,
        }
    }
}

impl From<Word> for Mode {
    fn from(word: Word) -> Self {
        match word {
            Word::Audit => Self::Audit,
            Word::Enforce => Self::Enforce,
        }
    }
}

/// The stored mode and the file that keeps it.
#[derive(Debug)]
pub struct ModeStore {
    directory: PathBuf,
    mode: Option<Mode>,
    damaged: Option<String>,
    /// Why what was set last is not stored.
    unsaved: Option<String>,
}

impl ModeStore {
    /// Reads what a former daemon has stored in `directory`. A file that cannot be
    /// read keeps no node from being filtered: see [`Self::damaged`].
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let (mode, damaged) = match read(&directory.join(FILE)) {
            Ok(mode) => (mode, None),
            Err(reason) => (None, Some(reason)),
        };
        Self {
            directory: directory.to_owned(),
            mode,
            damaged,
            unsaved: None,
        }
    }

    /// What was set, if anything.
    #[must_use]
    pub fn get(&self) -> Option<Mode> {
        self.mode
    }

    /// Why what was set is not known, in a line.
    #[must_use]
    pub fn damaged(&self) -> Option<String> {
        let path = self.directory.join(FILE);
        self.damaged.as_ref().map(|reason| {
            format!(
                "the stored mode {} cannot be read: {reason}; try: fw-ctl mode audit, \
                 enforce or configured",
                path.display()
            )
        })
    }

    /// Takes `mode` for what was set, until something is set.
    pub fn assume(&mut self, mode: Mode) {
        self.mode = Some(mode);
    }

    /// Takes `mode` for what was set, and the file that said so for lost.
    pub fn lose(&mut self, mode: Mode) {
        let name = mode.name();
        self.assume(mode);
        self.damaged = Some(format!("it is gone, and {name} is what was set"));
    }

    /// Takes a change, and stores it whole or not at all. What cannot be stored
    /// counts until the process ends: see [`Self::unsaved`].
    pub fn set(&mut self, change: ModeChange) {
        self.mode = change.mode();
        self.damaged = None;
        self.save();
    }

    /// Why what was set will not outlast a restart, in a line. Tries again to store it.
    #[must_use]
    pub fn unsaved(&mut self) -> Option<String> {
        if self.unsaved.is_some() {
            self.save();
        }
        self.unsaved.clone()
    }

    fn save(&mut self) {
        self.unsaved = self.store(self.mode).err().map(|error| {
            format!(
                "the mode that was set will not outlast a restart: it cannot be stored in {}: \
                 {}; try: check that `paths.state_dir` is a writable directory with free space",
                self.directory.join(FILE).display(),
                why(&error)
            )
        });
    }

    fn store(&self, mode: Option<Mode>) -> std::io::Result<()> {
        let Some(mode) = mode else {
            return atomic::remove(&self.directory, FILE);
        };
        let mut bytes = serde_json::to_vec(&Stored {
            schema: SCHEMA,
            mode: mode.into(),
        })?;
        bytes.push(b'\n');
        atomic::replace(&self.directory, FILE, &bytes)
    }
}

fn read(path: &Path) -> Result<Option<Mode>, String> {
    let text = match texts::read_to_string(path) {
        Ok(text) => text,
        Err(error) if atomic::is_absent(&error) => return Ok(None),
        Err(error) => return Err(why(&error)),
    };
    let damaged = |_| "the file is damaged".to_owned();
    let stored: Stored = serde_json::from_str(&text).map_err(damaged)?;
    if stored.schema != SCHEMA {
        return Err(format!("its schema is {}, not {SCHEMA}", stored.schema));
    }
    Ok(Some(stored.mode.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_survives_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut store = ModeStore::open(&path);
        assert_eq!(store.get(), None);
        store.set(ModeChange::Enforce);
        assert_eq!(ModeStore::open(&path).get(), Some(Mode::Enforce));
        store.set(ModeChange::Audit);
        assert_eq!(ModeStore::open(&path).get(), Some(Mode::Audit));
        store.set(ModeChange::Configured);
        assert_eq!(store.get(), None);
        assert_eq!(ModeStore::open(&path).get(), None);
        let left: Vec<_> = std::fs::read_dir(&path).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_mode_that_cannot_be_stored_counts_and_is_stored_when_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "").unwrap();
        let mut store = ModeStore::open(&path);
        store.set(ModeChange::Audit);
        assert_eq!(store.get(), Some(Mode::Audit));
        let told = store.unsaved().unwrap();
        assert!(told.contains("paths.state_dir"), "{told}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.unsaved(), None);
        assert_eq!(ModeStore::open(&path).get(), Some(Mode::Audit));
    }

    #[test]
    fn a_broken_file_is_told_until_something_is_set() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "{\"schema\":1}",
            "{\"schema\":2,\"mode\":\"audit\"}",
            "{\"schema\":1,\"mode\":\"on\"}",
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let mut store = ModeStore::open(dir.path());
            assert!(store.damaged().is_some(), "{text}");
            store.set(ModeChange::Audit);
            assert_eq!(store.damaged(), None);
            assert_eq!(ModeStore::open(dir.path()).get(), Some(Mode::Audit));
        }
    }
}
