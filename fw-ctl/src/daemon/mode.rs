//! The mode that `fw-ctl mode` set. It outlives restarts: a node that was put into
//! enforce mode by hand must not come back in audit mode, nor the other way round.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::compile::plan::Mode;
use crate::control::protocol::{Failure, ModeChange};
use crate::exit;
use crate::why::why;

const FILE: &str = "mode.json";
const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: u32,
    mode: Word,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Audit,
    Enforce,
}

/// The stored mode and the file that keeps it.
#[derive(Debug)]
pub struct ModeStore {
    directory: PathBuf,
    mode: Option<Mode>,
}

impl ModeStore {
    /// Reads what a former daemon has stored in `directory`.
    ///
    /// # Errors
    /// When there is something that cannot be read: guessing a mode is no option.
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(FILE);
        let failed = |reason: String| {
            Failure::new(
                exit::INVALID,
                format!("cannot read the stored mode {}: {reason}", path.display()),
            )
            .help("remove the file; then the configuration decides")
        };
        let mode = match std::fs::read(&path) {
            Ok(text) => {
                let stored: Stored =
                    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
                if stored.schema != SCHEMA {
                    return Err(failed(format!(
                        "its schema is {}, not {SCHEMA}",
                        stored.schema
                    )));
                }
                Some(match stored.mode {
                    Word::Audit => Mode::Audit,
                    Word::Enforce => Mode::Enforce,
                })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(why(&error))),
        };
        Ok(Self {
            directory: directory.to_owned(),
            mode,
        })
    }

    /// What was set, if anything.
    #[must_use]
    pub fn get(&self) -> Option<Mode> {
        self.mode
    }

    /// Stores a change, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing has changed.
    pub fn set(&mut self, change: ModeChange) -> Result<(), Failure> {
        let path = self.directory.join(FILE);
        let (mode, word) = match change {
            ModeChange::Audit => (Some(Mode::Audit), Some(Word::Audit)),
            ModeChange::Enforce => (Some(Mode::Enforce), Some(Word::Enforce)),
            ModeChange::Configured => (None, None),
        };
        let written = match word {
            Some(mode) => replace(&self.directory, &path, mode),
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                result => result.and_then(|()| sync(&self.directory)),
            },
        };
        written.map_err(|error| {
            Failure::new(
                exit::UNREACHABLE,
                format!(
                    "cannot store the mode in {}: {}",
                    path.display(),
                    why(&error)
                ),
            )
        })?;
        self.mode = mode;
        Ok(())
    }
}

fn replace(directory: &Path, path: &Path, mode: Word) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let new = directory.join(format!("{FILE}.new"));
    let mut file = std::fs::File::create(&new)?;
    let stored = Stored {
        schema: SCHEMA,
        mode,
    };
    serde_json::to_writer(&mut file, &stored)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync(directory)
}

/// Makes a rename survive a power cut.
fn sync(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_survives_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut store = ModeStore::open(&path).unwrap();
        assert_eq!(store.get(), None);
        store.set(ModeChange::Enforce).unwrap();
        assert_eq!(ModeStore::open(&path).unwrap().get(), Some(Mode::Enforce));
        store.set(ModeChange::Audit).unwrap();
        assert_eq!(ModeStore::open(&path).unwrap().get(), Some(Mode::Audit));
        store.set(ModeChange::Configured).unwrap();
        assert_eq!(store.get(), None);
        assert_eq!(ModeStore::open(&path).unwrap().get(), None);
        let left: Vec<_> = std::fs::read_dir(&path).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_broken_file_is_an_error_not_a_default() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "{\"schema\":1}",
            "{\"schema\":2,\"mode\":\"audit\"}",
            "{\"schema\":1,\"mode\":\"on\"}",
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(
                ModeStore::open(dir.path()).unwrap_err().exit,
                exit::INVALID,
                "{text}"
            );
        }
    }
}
