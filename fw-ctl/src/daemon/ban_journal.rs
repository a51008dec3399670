//! Changes of the bans since their file was written, a line each: so that a ban costs
//! as much on disk as itself, not as all the others.
//!
//! The first line has the name by which that file calls them. Each line tells whether it is what was
//! written, and says what holds of one address from then on: so lines may be read
//! twice, and one that is lost takes no other along.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::atomic;
use super::ban_store::Ban;
use super::kept_lists::hex;
use crate::texts;
use crate::why::why;

const FILE: &str = "bans.journal";
const SCHEMA: u32 = 1;

/// First line.
#[derive(Serialize, Deserialize)]
struct Header {
    schema: u32,
    /// Of the program that wrote it.
    version: String,
    /// What the file whose changes follow calls them.
    name: String,
}

/// What holds of an address from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    /// This.
    Banned(Ban),
    /// Nothing.
    Lifted(IpAddr),
}

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// In the order in which they were made.
    pub(super) changes: Vec<Change>,
    /// Bytes of the journal; 0 if there is none.
    pub(super) length: u64,
    /// What about it is wrong, in words: then no more is to be written behind it.
    pub(super) damaged: Option<String>,
}

/// Reads the changes that are called `name`, or if that is not known, whichever there
/// are. Others are none: their file was replaced by one that has them in it.
pub(super) fn read(directory: &Path, name: Option<&str>) -> Found {
    let path = directory.join(FILE);
    let read = match bytes(&path) {
        Ok(bytes) => understood(&bytes, name),
        Err(error) if atomic::is_absent(&error) => Found::default(),
        Err(error) => damaged(format!("it cannot be read: {}", why(&error))),
    };
    let place = |reason| format!("changes of the stored bans, {}: {reason}", path.display());
    Found {
        damaged: read.damaged.map(place),
        ..read
    }
}

/// Removes them.
///
/// # Errors
/// When the file cannot be removed.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    atomic::remove(directory, FILE)
}

/// Where changes are written to.
#[derive(Debug)]
pub(super) struct BanJournal {
    directory: PathBuf,
    name: String,
    /// Bytes; with 0 the file begins anew.
    length: u64,
}

impl BanJournal {
    /// The journal in `directory` that is called `name` and has `length` bytes by now.
    pub(super) fn new(directory: &Path, name: String, length: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            name,
            length,
        }
    }

    /// Writes `changes` down, unless the journal would have more than `most` bytes
    /// then: whether it did.
    ///
    /// # Errors
    /// When they cannot be written, or somebody else has changed the file. Then this
    /// journal is of no more use.
    pub(super) fn append(
        &mut self,
        changes: impl Iterator<Item = Change>,
        most: u64,
    ) -> io::Result<bool> {
        let begins = self.length == 0;
        let mut text = String::new();
        if begins {
            text = line(&Header {
                schema: SCHEMA,
                version: env!("CARGO_PKG_VERSION").into(),
                name: self.name.clone(),
            })?;
        }
        for change in changes {
            text.push_str(&line(&change)?);
        }
        let length = self.length + text.len() as u64;
        if length > most {
            return Ok(false);
        }
        let mut file = File::options()
            .write(true)
            .create(begins)
            .truncate(begins)
            .append(!begins)
            .mode(0o600)
            .open(self.directory.join(FILE))?;
        if file.metadata()?.len() != self.length {
            return Err(io::Error::other("somebody else has changed it"));
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        if begins {
            atomic::sync(&self.directory)?;
        }
        self.length = length;
        Ok(true)
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    texts::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn understood(bytes: &[u8], name: Option<&str>) -> Found {
    let torn = !bytes.ends_with(b"\n");
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let Some(Header {
        schema,
        version,
        name: its,
    }) = lines.next().and_then(value)
    else {
        return damaged("its first line is damaged".into());
    };
    if schema != SCHEMA {
        return damaged(format!(
            "version {version} wrote them by schema {schema}, not {SCHEMA}"
        ));
    }
    if name.is_some_and(|name| name != its) {
        return Found::default();
    }
    let (mut changes, mut lost) = (Vec::new(), 0_usize);
    for line in lines {
        match value(line) {
            Some(change) => changes.push(change),
            None => lost += 1,
        }
    }
    let damaged = match (lost, torn) {
        (0, _) => None,
        (1, true) => Some("the last one was written by half, and is not known".into()),
        (1, false) => Some("one is damaged".into()),
        (lost, _) => Some(format!("{lost} are damaged")),
    };
    Found {
        changes,
        length: bytes.len() as u64,
        damaged,
    }
}

fn damaged(reason: String) -> Found {
    Found {
        damaged: Some(reason),
        ..Found::default()
    }
}

/// A line: the checksum of what follows, and that.
fn line<T: Serialize>(value: &T) -> io::Result<String> {
    let json = serde_json::to_string(value)?;
    Ok(format!("{} {json}\n", hex(&Sha256::digest(&json))))
}

/// What a line says, if it is what was written.
fn value<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (checksum, json) = line.split_once(' ')?;
    (checksum == hex(&Sha256::digest(json)))
        .then(|| serde_json::from_str(json).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifted(last: u8) -> Change {
        Change::Lifted([192, 0, 2, last].into())
    }

    fn written(directory: &Path, changes: &[Change]) -> Vec<u8> {
        let mut journal = BanJournal::new(directory, "seven".into(), 0);
        for change in changes {
            assert!(
                journal
                    .append(std::iter::once(change.clone()), u64::MAX)
                    .unwrap()
            );
        }
        std::fs::read(directory.join(FILE)).unwrap()
    }

    #[test]
    fn changes_are_read_as_they_were_made() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path(), Some("seven")), Found::default());
        let changes = [
            Change::Banned(Ban {
                address: "2001:db8::1".parse().unwrap(),
                since: 1,
                until: Some(2),
                reason: "ünd \"so\"".into(),
            }),
            lifted(1),
            lifted(1),
        ];
        let bytes = written(dir.path(), &changes);
        let expected = Found {
            changes: changes.into(),
            length: bytes.len() as u64,
            damaged: None,
        };
        assert_eq!(read(dir.path(), Some("seven")), expected);
        assert_eq!(read(dir.path(), None), expected, "of whichever file");
        assert_eq!(read(dir.path(), Some("other")), Found::default());
    }

    #[test]
    fn what_would_not_fit_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = written(dir.path(), &[lifted(1)]);
        let length = bytes.len() as u64;
        let mut journal = BanJournal::new(dir.path(), "seven".into(), length);
        assert!(!journal.append([lifted(2)].into_iter(), length).unwrap());
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), bytes);
        assert!(journal.append([lifted(2)].into_iter(), 2 * length).unwrap());
        let changes = read(dir.path(), Some("seven")).changes;
        assert_eq!(changes, [lifted(1), lifted(2)]);
        written(dir.path(), &[lifted(3)]);
        let changes = read(dir.path(), Some("seven")).changes;
        assert_eq!(changes, [lifted(3)], "begun anew");
        let error = journal.append([lifted(2)].into_iter(), u64::MAX);
        assert!(error.unwrap_err().to_string().contains("somebody else"));
    }

    #[test]
    fn wherever_the_last_line_ends_the_others_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let one = written(dir.path(), &[lifted(1)]).len();
        let bytes = written(dir.path(), &[lifted(1), lifted(2)]);
        for end in one + 1..bytes.len() {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let read = read(dir.path(), Some("seven"));
            assert_eq!(read.changes, [lifted(1)], "{end}");
            let told = read.damaged.unwrap();
            assert!(told.contains("bans.journal: the last one was"), "{told}");
        }
    }

    #[test]
    fn damage_is_told_and_takes_no_other_line_along() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let bytes = written(dir.path(), &[1, 2, 3, 4].map(lifted));
        let text = String::from_utf8(bytes).unwrap();
        for (damaged, left, reason) in [
            (
                text.replace(".2\"", ".9\""),
                &[1, 3, 4][..],
                "one is damaged",
            ),
            (
                text.replace(".2\"", ".9\"").replace(".3\"", ".9\""),
                &[1, 4],
                "2 are damaged",
            ),
            (text.replace("seven", "eight"), &[], "first line is damaged"),
            (String::new(), &[], "first line is damaged"),
            (
                line(&Header {
                    schema: 9,
                    version: "3".into(),
                    name: "seven".into(),
                })
                .unwrap(),
                &[],
                "version 3 wrote them by schema 9, not 1",
            ),
        ] {
            std::fs::write(&path, damaged).unwrap();
            let read = read(dir.path(), Some("seven"));
            let left: Vec<_> = left.iter().map(|last| lifted(*last)).collect();
            assert_eq!(read.changes, left, "{reason}");
            let told = read.damaged.unwrap();
            assert!(told.contains(reason), "{told}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let told = read(dir.path(), Some("seven")).damaged.unwrap();
        assert!(told.contains("cannot be read"), "{told}");
    }
}
