//! Lists on disk: found, read, and not read again while they are what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::parse::parse;
use super::prefixes::Prefixes;
use super::shrink::Lost;
use crate::diagnostic::{Diagnostic, Severity, Source};
use crate::policy::decode::is_dns_subdomain;
use crate::texts;

/// Files that end like this are lists; the last two are `FireHOL`'s.
pub const SUFFIXES: [&str; 3] = ["cidr", "netset", "ipset"];
/// Bytes that a list may have.
pub const LIMIT: u64 = 256 << 20;

/// A file that was written to more recently may be being written still. It is also
/// longer than the kernel's clock for files needs to tell two changes apart.
const QUIET: Duration = Duration::from_secs(1);

/// Whether a file of this name is a list.
#[must_use]
pub fn is_list(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix))
}

/// `paths` without the files that are lists.
#[must_use]
pub fn without_lists(paths: &[PathBuf]) -> Vec<PathBuf> {
    let others = paths.iter().filter(|path| !is_list(path) || path.is_dir());
    others.cloned().collect()
}

/// A list that was read. Two are equal if they come from one file and have one text, and
/// have lost the same.
#[derive(Clone, Debug)]
pub struct List {
    /// The file, as messages call it.
    pub file: String,
    /// The name of the group that it is: that of the file without its suffix.
    pub name: String,
    /// SHA-256 of the text.
    pub digest: [u8; 32],
    /// What it says, and what it has lost.
    pub prefixes: Arc<Prefixes>,
    /// What was said about it.
    pub warnings: Vec<Diagnostic>,
    /// Whether its last line ends: in a file of which only a part was written it
    /// seldom does, and half a line may be a far larger prefix.
    pub whole: bool,
    /// What it has lost and is in force still; never of a list that was just read.
    pub lost: Option<Box<Lost>>,
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        let lost = |list: &Self| list.lost.as_ref().map(|lost| lost.digest);
        (&self.file, &self.digest, lost(self)) == (&other.file, &other.digest, lost(other))
    }
}

impl Eq for List {}

impl List {
    /// Reads a text that stood in `file`.
    ///
    /// # Errors
    /// What is wrong with it, or with the name of the file.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let name = name(file).map_err(|error| vec![*error])?;
        let parsed = parse(file, text);
        let (errors, warnings): (Vec<_>, Vec<_>) =
            parsed.findings.into_iter().partition(Diagnostic::is_error);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            file: file.to_owned(),
            name,
            digest: Sha256::digest(text).into(),
            prefixes: Arc::new(parsed.prefixes),
            warnings,
            whole: text.last().is_none_or(|last| *last == b'\n'),
            lost: None,
        })
    }
}

/// The name of the group that a file is.
fn name(file: &str) -> Result<String, Box<Diagnostic>> {
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
    let stem = stem.unwrap_or_default();
    if is_dns_subdomain(stem) {
        return Ok(stem.to_owned());
    }
    let mut error = finding(
        file,
        format!(
            "{stem:?} cannot be the name of a CIDR group, and the list is named after its file"
        ),
    );
    error.help(format!(
        "lower case letters, digits, `-` and `.`, at most 253: rename the file, or put a \
         symbolic link here, as {:?}",
        suggestion(stem)
    ));
    Err(error)
}

/// A name that is near to `stem`.
fn suggestion(stem: &str) -> String {
    let letter = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.') => c,
        _ => '-',
    };
    let name: String = stem.chars().take(200).map(letter).collect();
    let name = name.trim_matches(['-', '.']);
    if is_dns_subdomain(name) {
        name.to_owned()
    } else {
        "blocklist".to_owned()
    }
}

/// A file that is a list, and what it says.
#[derive(Clone, Debug)]
pub struct Found {
    /// The file, as messages call it.
    pub file: String,
    /// The list, or why there is none.
    pub list: Result<Arc<List>, Vec<Diagnostic>>,
    /// Whether it was left alone for a while. If not, it may be being written.
    pub quiet: bool,
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &std::fs::Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

type Known = BTreeMap<PathBuf, (Stamp, Found)>;

/// The lists of this machine. A file that has not changed is not read again.
#[derive(Debug, Default)]
pub struct ListFiles {
    known: Mutex<Known>,
}

impl ListFiles {
    /// Every list among `paths` and in and below directories of them, sorted. What
    /// cannot be gone into is the business of who reads the other files there.
    pub fn read(&self, paths: &[PathBuf]) -> Vec<Found> {
        let mut seen = BTreeSet::new();
        let mut lists = Vec::new();
        for path in texts::find_files(paths, is_list) {
            // Two of `paths` may lead to one file.
            if !seen.insert(path.clone()) {
                continue;
            }
            let old = self.known().get(&path).cloned();
            let (stamp, found) = read(&path, old);
            lists.push(found.clone());
            match stamp {
                Some(stamp) if found.quiet => self.known().insert(path, (stamp, found)),
                _ => self.known().remove(&path),
            };
        }
        self.known().retain(|path, _| seen.contains(path));
        lists
    }

    /// Not to be held while a file is read: nobody should wait for that.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path, old: Option<(Stamp, Found)>) -> (Option<Stamp>, Found) {
    let name = path.display().to_string();
    let now_and_stamp = |file: &std::fs::File| {
        let metadata = file.metadata()?;
        let age = SystemTime::now().duration_since(metadata.modified()?);
        // A date in the future says nothing about now.
        let quiet = age.map_or(true, |age| age >= QUIET);
        Ok::<_, io::Error>((Stamp::of(&metadata), quiet))
    };
    let opened = texts::open(path).and_then(|file| Ok((now_and_stamp(&file)?, file)));
    let ((stamp, quiet), file) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let found = Found {
                list: Err(vec![*texts::unreadable(&name, &error)]),
                file: name,
                quiet: true,
            };
            return (None, found);
        }
    };
    if let Some((known, found)) = old
        && known == stamp
    {
        return (Some(stamp), found);
    }
    let mut text = Vec::new();
    let list = (&file).take(LIMIT + 1).read_to_end(&mut text);
    let list = match list {
        Err(error) => Err(vec![*texts::unreadable(&name, &error)]),
        Ok(_) if text.len() as u64 > LIMIT => {
            let mut error = finding(&name, format!("the list has more than {LIMIT} bytes"));
            error.help("split it into several lists");
            Err(vec![*error])
        }
        Ok(_) => List::parse(&name, &text).map(Arc::new),
    };
    let untouched = now_and_stamp(&file).is_ok_and(|after| after.0 == stamp);
    let found = Found {
        file: name,
        list,
        quiet: quiet && untouched,
    };
    (Some(stamp), found)
}

fn finding(file: &str, message: String) -> Box<Diagnostic> {
    let source = Arc::new(Source {
        name: file.to_owned(),
        text: String::new(),
    });
    Box::new(Diagnostic::new(Severity::Error, &source, None, "", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str, age: u64) {
        std::fs::write(path, text).unwrap();
        let file = std::fs::File::options().append(true).open(path).unwrap();
        let then = SystemTime::now() - Duration::from_secs(age);
        file.set_modified(then).unwrap();
    }

    fn list(found: &Found) -> &Arc<List> {
        found.list.as_ref().unwrap()
    }

    #[test]
    fn lists_are_found_below_and_named_after_their_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for file in [
            "b.netset",
            "sub/a.cidr",
            "c.ipset",
            "d.yaml",
            ".e.cidr",
            "f.txt",
        ] {
            write(&dir.path().join(file), "192.0.2.7\n", 10);
        }
        let paths = [dir.path().to_owned(), dir.path().join("sub")];
        let found = ListFiles::default().read(&paths);
        let names: Vec<_> = found
            .iter()
            .map(|found| list(found).name.as_str())
            .collect();
        assert_eq!(names, ["b", "c", "a"]);
        assert_eq!(
            found[2].file,
            dir.path().join("sub/a.cidr").display().to_string()
        );
    }

    #[test]
    fn an_unchanged_file_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cidr");
        let files = ListFiles::default();
        let read = || files.read(std::slice::from_ref(&path)).remove(0);
        write(&path, "192.0.2.7\n", 10);
        let first = read();
        assert!(Arc::ptr_eq(list(&first), list(&read())));
        // Same length, same date: the kernel's date of the change tells.
        write(&path, "192.0.2.8\n", 10);
        let second = read();
        assert_ne!(list(&first), list(&second));
        // The same text in another file of the name.
        let other = dir.path().join("new");
        write(&other, "192.0.2.8\n", 10);
        std::fs::rename(other, &path).unwrap();
        let third = read();
        assert_eq!(list(&second), list(&third));
        assert!(!Arc::ptr_eq(list(&second), list(&third)));
    }

    #[test]
    fn a_file_that_was_just_written_is_not_trusted_to_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cidr");
        let files = ListFiles::default();
        let read = || files.read(std::slice::from_ref(&path)).remove(0);
        std::fs::write(&path, "192.0.2.7\n192.0.2").unwrap();
        assert!(!read().quiet && read().list.is_err());
        std::fs::write(&path, "192.0.2.7\n192.0.2.8").unwrap();
        let found = read();
        assert!(!found.quiet && !list(&found).whole);
    }

    #[test]
    fn names_must_be_those_of_kubernetes_objects() {
        for (file, better) in [
            ("firehol_level1.netset", "firehol-level1"),
            ("Spamhaus DROP.cidr", "spamhaus-drop"),
            ("_.cidr", "blocklist"),
        ] {
            let errors = List::parse(file, b"").unwrap_err();
            let help = errors[0].help.as_deref().unwrap();
            assert!(help.contains(&format!("{better:?}")), "{help}");
        }
        assert_eq!(List::parse("x/a.b-1.netset", b"").unwrap().name, "a.b-1");
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cidr");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let found = ListFiles::default().read(&[dir.path().to_owned()]);
        let errors = found[0].list.as_ref().unwrap_err();
        assert_eq!(
            errors[0].message,
            "cannot be read: it is not a regular file"
        );
    }
}
