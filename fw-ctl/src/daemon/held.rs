//! Files of the operator that are not in force, though nothing is wrong with them: nobody
//! confirmed in time what they say, or somebody went back from it.
//!
//! It outlasts restarts and reboots: a daemon that starts takes what the files say, but
//! not this, which cut somebody off before. Only who asks for a reload gets it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Inputs, atomic};
use crate::texts;
use crate::why::why;

const FILE: &str = "held.json";
const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    schema: u32,
    #[serde(flatten)]
    held: Held,
}

/// Why files are not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// They are on trial, or were and were not confirmed within so many seconds; 0 where
    /// nobody knows any more how many.
    Unconfirmed(u64),
    /// `fw-ctl rollback` put this generation in force.
    RolledBack(u64),
    /// They would have cut connections, and were refused.
    Refused,
}

/// In the place of a digest: whatever files are there when a daemon starts.
const ANY: &str = "*";

/// "within 60 s"; "in time", where nobody knows any more how many seconds that were.
pub(super) fn in_time(seconds: u64) -> String {
    match seconds {
        0 => "in time".to_owned(),
        seconds => format!("within {seconds} s"),
    }
}

/// Files that are not to be taken without being asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The generation that was made of them.
    pub number: u64,
    /// [`super::inputs::Digests::all`] of them.
    pub digest: String,
    /// Why.
    pub reason: Reason,
}

impl Held {
    /// Files that are to be confirmed.
    #[must_use]
    pub fn unconfirmed(number: u64, digest: String, patience: Duration) -> Self {
        Self {
            number,
            digest,
            reason: Reason::Unconfirmed(patience.as_secs()),
        }
    }

    /// Whatever files there are.
    #[must_use]
    pub fn any(number: u64, reason: Reason) -> Self {
        Self {
            number,
            digest: ANY.to_owned(),
            reason,
        }
    }

    /// Whether it is these.
    #[must_use]
    pub fn is(&self, inputs: &Inputs) -> bool {
        self.digest == inputs.digests().all
    }

    /// What a daemon that was killed has noted before it knew which files it is about: they
    /// are these then.
    #[must_use]
    pub fn foreseen(&self, inputs: &Inputs) -> Option<Self> {
        (self.digest == ANY).then(|| Self {
            digest: inputs.digests().all,
            ..self.clone()
        })
    }

    /// What is told of it.
    #[must_use]
    pub fn line(&self) -> String {
        let number = self.number;
        match self.reason {
            // Generations begin with 1.
            Reason::Unconfirmed(seconds) if number == 0 => format!(
                "the files are not in force: they were to be on trial, and the daemon ended \
                 before they were; try: fw-ctl reload --confirm {seconds}s"
            ),
            Reason::Refused => "the files are not in force: fw-ctl reload refused them, because \
                                they would have cut connections; try: mend them, then fw-ctl \
                                reload, or fw-ctl reload --force"
                .to_owned(),
            Reason::Unconfirmed(seconds) => {
                let again = match seconds {
                    0 => String::new(),
                    seconds => format!(" {seconds}s"),
                };
                format!(
                    "the files are not in force: generation {number}, made of them, was not \
                     confirmed {}, and the one before it is in force again; try: mend them, then \
                     fw-ctl reload --confirm{again}",
                    in_time(seconds)
                )
            }
            Reason::RolledBack(to) => format!(
                "the files are not in force: fw-ctl rollback went back from generation {number} \
                 to what was in force as generation {to}; try: mend them, then fw-ctl reload"
            ),
        }
    }
}

/// What is held back, and the file that keeps it.
#[derive(Debug)]
pub struct HeldStore {
    directory: PathBuf,
    held: Option<Held>,
    /// Why the file is not what is held back.
    trouble: Option<String>,
    damaged: bool,
    /// The file says more than `held`, for the case that this process is killed.
    foreseen: bool,
}

impl HeldStore {
    /// Reads what a former daemon has stored in `directory`.
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let (held, trouble) = match read(&directory.join(FILE)) {
            Ok(held) => (held, None),
            Err(reason) => (
                None,
                Some(format!(
                    "{} cannot be read: {reason}; it tells which files are held back from being \
                     in force (try: fw-ctl reload, which takes those that are there)",
                    directory.join(FILE).display()
                )),
            ),
        };
        Self {
            directory: directory.to_owned(),
            damaged: trouble.is_some(),
            held,
            trouble,
            foreseen: false,
        }
    }

    /// Notes, for a daemon that starts should this one be killed, that files are about to be
    /// on trial, whichever they are. [`Self::set`] or [`Self::unforesee`] takes it back.
    pub fn foresee(&mut self, patience: Duration) {
        let any = Held::unconfirmed(0, ANY.to_owned(), patience);
        // Without it they are not tried: the note of the trial itself fails, too.
        self.foreseen = store(&self.directory, &any).is_ok();
    }

    /// Nothing came of what was foreseen.
    pub fn unforesee(&mut self) {
        if self.foreseen {
            // Told by [`Self::trouble`].
            let _ = self.set(self.held.clone());
        }
    }

    /// What is held back, if anything.
    #[must_use]
    pub fn get(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Whether what a former daemon held back is not known.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// What is wrong with the file, in a line.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    /// Holds back `held`, and nothing else.
    ///
    /// # Errors
    /// It cannot be stored: then it counts until the process ends.
    pub fn set(&mut self, held: Option<Held>) -> Result<(), String> {
        let there = self.directory.join(FILE).exists();
        let stored = there == held.is_some() && !self.foreseen;
        if held == self.held && self.trouble.is_none() && stored {
            return Ok(());
        }
        let stored = match &held {
            None => atomic::remove(&self.directory, FILE),
            Some(held) => store(&self.directory, held),
        };
        self.held = held;
        self.damaged = false;
        self.foreseen &= stored.is_err();
        self.trouble = stored.err().map(|error| {
            format!(
                "which files are in force cannot be noted in {}: {}; after a restart the files \
                 that are there then may come in force; try: check that `paths.state_dir` is a \
                 writable directory with free space",
                self.directory.join(FILE).display(),
                why(&error)
            )
        });
        match &self.trouble {
            None => Ok(()),
            Some(trouble) => Err(trouble.clone()),
        }
    }

    /// Tries again to store what could not be stored.
    pub fn again(&mut self) {
        if self.trouble.is_some() && !self.damaged {
            // Told by [`Self::trouble`].
            let _ = self.set(self.held.clone());
        }
    }
}

fn store(directory: &Path, held: &Held) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(&Stored {
        schema: SCHEMA,
        held: held.clone(),
    })?;
    bytes.push(b'\n');
    atomic::replace(directory, FILE, &bytes)
}

fn read(path: &Path) -> Result<Option<Held>, String> {
    let text = match texts::read_to_string(path) {
        Ok(text) => text,
        Err(error) if atomic::is_absent(&error) => return Ok(None),
        Err(error) => return Err(why(&error)),
    };
    let stored: Stored = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if stored.schema != SCHEMA {
        return Err(format!("its schema is {}, not {SCHEMA}", stored.schema));
    }
    Ok(Some(stored.held))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(reason: Reason) -> Held {
        Held {
            number: 8,
            digest: "00ff".into(),
            reason,
        }
    }

    #[test]
    fn what_is_held_back_outlasts_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut store = HeldStore::open(&path);
        assert_eq!((store.get(), store.trouble()), (None, None));
        for reason in [Reason::Unconfirmed(60), Reason::RolledBack(7)] {
            store.set(Some(held(reason.clone()))).unwrap();
            assert_eq!(HeldStore::open(&path).get(), Some(&held(reason)));
        }
        store.set(None).unwrap();
        assert_eq!(HeldStore::open(&path).get(), None);
    }

    #[test]
    fn what_is_foreseen_is_taken_back_or_found_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = HeldStore::open(dir.path());
        for before in [None, Some(held(Reason::Refused))] {
            store.set(before.clone()).unwrap();
            store.foresee(Duration::from_mins(1));
            let found = HeldStore::open(dir.path());
            let found = found.get().unwrap();
            assert_eq!((found.number, found.digest.as_str()), (0, ANY));
            assert!(found.line().ends_with("fw-ctl reload --confirm 60s"));
            store.unforesee();
            assert_eq!(HeldStore::open(dir.path()).get(), before.as_ref());
            store.unforesee();
        }
        // Somebody has emptied the directory.
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        store.set(Some(held(Reason::Refused))).unwrap();
        assert_eq!(HeldStore::open(dir.path()).get(), store.get());
    }

    #[test]
    fn what_cannot_be_stored_is_told_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "").unwrap();
        let mut store = HeldStore::open(&path);
        let told = store.set(Some(held(Reason::RolledBack(7)))).unwrap_err();
        assert!(told.contains("paths.state_dir"), "{told}");
        assert!(store.get().is_some());
        store.again();
        assert_eq!(store.trouble(), Some(told));
        std::fs::remove_file(&path).unwrap();
        store.again();
        assert_eq!(store.trouble(), None);
        assert!(HeldStore::open(&path).get().is_some());
    }

    #[test]
    fn a_damaged_file_holds_nothing_back_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", "{\"schema\":9}"] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let mut store = HeldStore::open(dir.path());
            assert_eq!(store.get(), None);
            assert!(store.trouble().is_some() && store.is_damaged(), "{text}");
            store.set(None).unwrap();
            assert_eq!(HeldStore::open(dir.path()).trouble(), None);
        }
    }
}
