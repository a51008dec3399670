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
    sha256: String,
    /// The same of what it has lost and is in force still ([`crate::lists::Lost`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

impl KeptList {
    pub(super) fn of(list: &List) -> Self {
        Self {
            file: list.file.clone(),
            sha256: hex(&list.digest),
            lost: list.lost.as_ref().map(|lost| hex(&lost.digest)),
        }
    }

    /// The files that it needs.
    pub(super) fn files(&self) -> impl Iterator<Item = &String> {
        [&self.sha256].into_iter().chain(&self.lost)
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
        let digests = lists.iter().flat_map(|list| {
            let lost = list.lost.as_ref().map(|lost| lost.digest);
            [Some(list.digest), lost]
                .into_iter()
                .flatten()
                .map(move |digest| (list, digest))
        });
        for (list, digest) in digests {
            let path = self.path(&hex(&digest));
            let copy = bytes(&path);
            if copy.is_ok_and(|copy| Sha256::digest(copy)[..] != digest) {
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
            self.keep_text(&list.digest, || {
                let text = bytes(Path::new(&list.file))?;
                if Sha256::digest(&text)[..] != list.digest {
                    let message = format!("{} has changed since it was read", list.file);
                    return Err(io::Error::other(message));
                }
                Ok(text)
            })?;
            if let Some(lost) = &list.lost {
                self.keep_text(&lost.digest, || Ok(lost.text().into_bytes()))?;
            }
        }
        Ok(())
    }

    fn keep_text(
        &self,
        digest: &[u8],
        text: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<()> {
        let name = hex(digest);
        if self.path(&name).exists() {
            return Ok(());
        }
        let text = text()?;
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        atomic::replace(&self.directory, &name, &text)
    }

    /// Where the list with this digest is.
    pub(super) fn path(&self, sha256: &str) -> PathBuf {
        self.directory.join(sha256)
    }

    /// Reads a list again.
    ///
    /// # Errors
    /// Why it is not there as it was kept.
    pub(super) fn read(&self, kept: &KeptList) -> Result<Arc<List>, String> {
        let read = |sha256: &str| {
            let gone = |why: &str| format!("the list {} cannot be had again: {why}", kept.file);
            let text = bytes(&self.path(sha256));
            let text = text.map_err(|error| gone(&why(&error)))?;
            if hex(&Sha256::digest(&text)) != sha256 {
                return Err(gone("its copy is damaged"));
            }
            let list = List::parse(&kept.file, &text);
            list.map_err(|errors| gone(&errors[0].to_string()))
        };
        let written = Arc::new(read(&kept.sha256)?);
        let Some(lost) = &kept.lost else {
            return Ok(written);
        };
        Ok(List::with_lost(&written, read(lost)?.prefixes.nowhere()))
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
