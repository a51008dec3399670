//! The texts of the lists in force, on disk: each in a file that is called by its
//! SHA-256, so that a list of 30 MB is written once and not with every record of what
//! is in force, and two records share it.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::atomic;
use crate::lists::{LIMIT, List};
use crate::texts;
use crate::why::why;

const DIRECTORY: &str = "lists";

/// How a record names a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptList {
    /// The file that it was read from.
    file: String,
    /// SHA-256 of its text, in hex.
    pub(super) sha256: String,
}

impl KeptList {
    pub(super) fn of(list: &List) -> Self {
        Self {
            file: list.file.clone(),
            sha256: hex(&list.digest),
        }
    }
}

/// Where they are kept. Clones are of one place.
#[derive(Clone, Debug)]
pub(super) struct KeptLists {
    directory: PathBuf,
    /// Held while a file is written: one at a time.
    writing: Arc<Mutex<()>>,
}

impl KeptLists {
    pub(super) fn new(state: &Path) -> Self {
        Self {
            directory: state.join(DIRECTORY),
            writing: Arc::default(),
        }
    }

    /// Removes copies of `lists` that are damaged, so that [`Self::keep`] makes them anew
    /// or tells that it cannot.
    pub(super) fn check(&self, lists: &[Arc<List>]) {
        for list in lists {
            let path = self.directory.join(hex(&list.digest));
            let copy = bytes(&path);
            if copy.is_ok_and(|copy| Sha256::digest(copy)[..] != list.digest) {
                let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
                match std::fs::remove_file(&path) {
                    Ok(()) => tracing::warn!("the copy of {} was damaged: removed", list.file),
                    Err(error) => tracing::warn!("{}: {}", path.display(), why(&error)),
                }
            }
        }
    }

    /// Keeps lists that were just read, as far as they are not kept already.
    ///
    /// # Errors
    /// One cannot be written, or its file has changed since.
    pub(super) fn keep(&self, lists: &[Arc<List>]) -> io::Result<()> {
        for list in lists {
            let name = hex(&list.digest);
            if self.directory.join(&name).exists() {
                continue;
            }
            let text = bytes(Path::new(&list.file))?;
            if Sha256::digest(&text)[..] != list.digest {
                let message = format!("{} has changed since it was read", list.file);
                return Err(io::Error::other(message));
            }
            let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            atomic::replace(&self.directory, &name, &text)?;
        }
        Ok(())
    }

    /// Reads a list again.
    ///
    /// # Errors
    /// Why it is not there as it was kept.
    pub(super) fn read(&self, kept: &KeptList) -> Result<Arc<List>, String> {
        let lost = |why: &str| format!("the list {} cannot be had again: {why}", kept.file);
        let text = bytes(&self.directory.join(&kept.sha256));
        let text = text.map_err(|error| lost(&why(&error)))?;
        if hex(&Sha256::digest(&text)) != kept.sha256 {
            return Err(lost("its copy is damaged"));
        }
        let list = List::parse(&kept.file, &text);
        let list = list.map_err(|errors| lost(&errors[0].to_string()))?;
        Ok(Arc::new(list))
    }

    /// Removes every list but those that are named.
    ///
    /// # Errors
    /// When the directory cannot be listed, or one cannot be removed.
    pub(super) fn retain(&self, named: &BTreeSet<String>) -> io::Result<()> {
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if atomic::is_absent(&error) => return Ok(()),
            entries => entries?,
        };
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| named.contains(name)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    texts::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
