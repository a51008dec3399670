//! The directory on the BPF file system through which state outlives the daemon.
//!
//! `<pin dir>/v<schema>/maps/NAME` and `<pin dir>/v<schema>/links/<ifindex>-<hook>`.
//! It appears whole by one rename, and is used by one process at a time. Names
//! contain no dot: the BPF file system reserves it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::programs::links::PinnedLink;
use fw_common::wire::SCHEMA_VERSION;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::DatapathError;
use super::host;

/// Prefix of a directory that is not yet published.
const UNPUBLISHED: &str = "new-";

/// The pins of one datapath, locked against other processes.
pub struct Pins {
    root: PathBuf,
    /// Released when the process ends, however it ends.
    lock: Flock<File>,
}

impl Pins {
    /// Locks `root`, and makes it if it is not there; removes what a process that
    /// died while publishing left behind.
    ///
    /// # Errors
    /// It is not on a BPF file system, or another process uses it.
    pub fn open(root: &Path) -> Result<Self, DatapathError> {
        host::ensure_bpf_file_system(root)?;
        let pins = Self {
            root: root.to_owned(),
            lock: lock(root)?,
        };
        remove_unpublished(root)?;
        Ok(pins)
    }

    /// The pin directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of this schema.
    #[must_use]
    pub fn version(&self) -> PathBuf {
        version_of(&self.root, SCHEMA_VERSION)
    }

    /// Where the maps of this schema are pinned.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.version().join("maps")
    }

    /// Where the links of this schema are pinned.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.version().join("links")
    }

    /// Whether a datapath of this schema is there.
    #[must_use]
    pub fn published(&self) -> bool {
        self.version().exists()
    }

    /// Makes the directory of the links again if it is not there: somebody may have
    /// removed it, under this process or before it. Removes what is in the place of links.
    ///
    /// # Errors
    /// It cannot be made, or something in it cannot be removed.
    pub fn ensure_links(&self) -> Result<(), DatapathError> {
        let links = self.links();
        fs::create_dir_all(&links).map_err(failed("making", &links))?;
        remove_strays(&self.root)
    }

    /// Makes the pin directory again, and locks it, where it is not the one that
    /// this process has locked: somebody has removed it. Returns whether it was so.
    ///
    /// # Errors
    /// It cannot be made, or another process has come first.
    pub fn ensure_root(&mut self) -> Result<bool, DatapathError> {
        let same = |found: &fs::Metadata, locked: &fs::Metadata| {
            (found.dev(), found.ino()) == (locked.dev(), locked.ino())
        };
        if let (Ok(found), Ok(locked)) = (fs::metadata(&self.root), self.lock.metadata())
            && same(&found, &locked)
        {
            return Ok(false);
        }
        host::ensure_bpf_file_system(&self.root)?;
        self.lock = lock(&self.root)?;
        Ok(true)
    }

    /// A directory that the next [`Self::open`] removes, should it be left behind.
    #[must_use]
    pub fn unpublished(&self, name: &str) -> PathBuf {
        self.root.join(format!("{UNPUBLISHED}{name}"))
    }

    /// Publishes what `make` pins into the directory that it is given. On failure
    /// nothing stays.
    ///
    /// # Errors
    /// `make` fails, or the directory cannot be renamed.
    pub fn publish<T>(
        &self,
        make: impl FnOnce(&Path) -> Result<T, DatapathError>,
    ) -> Result<T, DatapathError> {
        let fresh = self.unpublished(&std::process::id().to_string());
        let result = (|| {
            for directory in ["maps", "links"] {
                let path = fresh.join(directory);
                fs::create_dir_all(&path).map_err(failed("making", &path))?;
            }
            let made = make(&fresh.join("maps"))?;
            fs::rename(&fresh, self.version()).map_err(failed("publishing", &self.version()))?;
            Ok(made)
        })();
        if result.is_err() {
            // The first error is what counts; a leftover is removed at the next start.
            let _ = fs::remove_dir_all(&fresh);
        }
        result
    }

    /// The pin of a link: of this schema, else of another, so that a new version
    /// takes over the links of an old one.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn find_link(&self, name: &str) -> Result<Option<PathBuf>, DatapathError> {
        let own = self.links().join(name);
        if own.exists() {
            return Ok(Some(own));
        }
        Ok(versions(&self.root)?
            .into_iter()
            .map(|version| version.join("links").join(name))
            .find(|path| path.exists()))
    }

    /// Every pinned link as interface index, hook and path, of any schema.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all_links(&self) -> Result<Vec<PinnedName>, DatapathError> {
        all_links(&self.root)
    }

    /// Moves a pin that was found under another schema to this one's.
    ///
    /// # Errors
    /// The kernel refuses the rename.
    pub fn take_over(&self, path: &Path, name: &str) -> Result<(), DatapathError> {
        let own = self.links().join(name);
        if path == own {
            return Ok(());
        }
        fs::rename(path, &own).map_err(failed("moving", path))
    }
}

/// A pinned link, as its name tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinnedName {
    /// Index of the interface.
    pub index: u32,
    /// `xdp`, `tc-ingress`, `tc-egress`, `filter-ingress` or `filter-egress`.
    pub hook: String,
    /// The pin.
    pub path: PathBuf,
}

/// Name of the pin of a link.
#[must_use]
pub fn link_name(index: u32, hook: &str) -> String {
    format!("{index}-{hook}")
}

/// Removes a pin. A link is closed here and not left to the kernel's cleaning
/// up, so that it is detached when this returns.
///
/// # Errors
/// The file cannot be removed.
pub fn unpin(path: &Path) -> Result<(), DatapathError> {
    match PinnedLink::from_pin(path) {
        Ok(link) => drop(link.unpin().map_err(failed("removing", path))?),
        Err(_) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("removing", path)(error));
            }
            _ => {}
        },
    }
    Ok(())
}

/// Locks the pin directory for this process.
///
/// # Errors
/// Another process has it.
pub fn lock(root: &Path) -> Result<Flock<File>, DatapathError> {
    let directory = File::open(root).map_err(failed("opening", root))?;
    Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => DatapathError::Busy {
            path: root.to_owned(),
        },
        errno => failed("locking", root)(errno.into()),
    })
}

/// The directories of all schemas.
///
/// # Errors
/// The pin directory cannot be read.
pub fn versions(root: &Path) -> Result<Vec<PathBuf>, DatapathError> {
    let paths = names(root)?.into_iter().map(|name| root.join(name));
    Ok(paths.filter(|path| schema_of(path).is_some()).collect())
}

/// The directory of a schema.
#[must_use]
pub fn version_of(root: &Path, schema: u32) -> PathBuf {
    root.join(format!("v{schema}"))
}

/// The number of the schema whose directory this is.
#[must_use]
pub fn schema_of(version: &Path) -> Option<u32> {
    let name = version.file_name()?.to_str()?;
    name.strip_prefix('v')?.parse().ok()
}

/// Removes what a process that died left half made.
///
/// # Errors
/// It cannot be removed.
pub fn remove_unpublished(root: &Path) -> Result<(), DatapathError> {
    let mut names = names(root)?;
    names.retain(|name| name.starts_with(UNPUBLISHED));
    names
        .into_iter()
        .try_for_each(|name| remove_tree(&root.join(name)))
}

/// Removes directories in the place of links, of any schema: nothing of ours made them, and
/// neither attaching nor detaching could go past them.
///
/// # Errors
/// One cannot be removed.
pub fn remove_strays(root: &Path) -> Result<(), DatapathError> {
    for version in versions(root)? {
        let links = version.join("links");
        let stray = names(&links)?.into_iter().map(|name| links.join(name));
        stray
            .filter(|path| path.is_dir())
            .try_for_each(|path| remove_tree(&path))?;
    }
    Ok(())
}

/// Removes pins and their directories. Links among them are closed by the kernel, some
/// time later.
///
/// # Errors
/// One cannot be removed.
pub fn remove_tree(directory: &Path) -> Result<(), DatapathError> {
    fs::remove_dir_all(directory).map_err(failed("removing", directory))
}

/// Every pinned link under `root`, sorted by interface.
///
/// # Errors
/// A directory cannot be read.
pub fn all_links(root: &Path) -> Result<Vec<PinnedName>, DatapathError> {
    let mut links = Vec::new();
    for version in versions(root)? {
        links.append(&mut links_in(&version)?);
    }
    links.sort();
    Ok(links)
}

/// Every pinned link of one schema, sorted by interface.
///
/// # Errors
/// The directory cannot be read.
pub fn links_in(version: &Path) -> Result<Vec<PinnedName>, DatapathError> {
    let directory = version.join("links");
    let named = |name: String| {
        let (index, hook) = parse_link_name(&name)?;
        Some(PinnedName {
            index,
            hook: hook.to_owned(),
            path: directory.join(&name),
        })
    };
    let mut links: Vec<_> = names(&directory)?.into_iter().filter_map(named).collect();
    links.sort();
    Ok(links)
}

fn parse_link_name(name: &str) -> Option<(u32, &str)> {
    let (index, hook) = name.split_once('-')?;
    Some((index.parse().ok()?, hook))
}

/// Names in a directory; none if there is no such directory.
///
/// # Errors
/// It cannot be read.
pub fn names(directory: &Path) -> Result<Vec<String>, DatapathError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("reading", directory)(error)),
    };
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(failed("reading", directory))?;
    names.sort();
    Ok(names)
}

/// For `map_err`: an operation on a pin failed.
pub fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> DatapathError {
    let path = path.display().to_string();
    move |error| DatapathError::io(format!("{what} {path}"), &error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_links_are_read_as_they_are_written() {
        for hook in ["xdp", "tc-ingress", "filter-egress"] {
            let name = link_name(42, hook);
            assert!(!name.contains('.'), "the BPF file system refuses dots");
            assert_eq!(parse_link_name(&name), Some((42, hook)));
        }
        assert_eq!(parse_link_name("maps"), None);
        assert_eq!(parse_link_name("x-xdp"), None);
    }

    #[test]
    fn only_numbered_directories_are_schemas() {
        let root = tempfile::tempdir().unwrap();
        for name in ["v1", "v12", "vault", "new-7", "links"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let found = versions(root.path()).unwrap();
        assert_eq!(found, [root.path().join("v1"), root.path().join("v12")]);
    }

    #[test]
    fn a_directory_is_locked_for_one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let first = lock(root.path()).unwrap();
        let error = lock(root.path()).map(drop).unwrap_err();
        assert!(error.to_string().contains("another fw-ctl uses"));
        drop(first);
        lock(root.path()).unwrap();
    }
}
