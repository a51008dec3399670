//! The lab's directory: configuration, control socket, logs.
//!
//! It is the only thing that can outlive the process. Its name tells whose it
//! was, so that the next lab removes what a killed one has left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Result};

const PREFIX: &str = "fw-ctl-lab-";

/// Directories that [`remove_all`] has to remove.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A directory that is removed when it is dropped.
#[derive(Debug)]
pub struct WorkDir(PathBuf);

impl WorkDir {
    /// A new, empty directory; removes those of dead processes first.
    ///
    /// # Errors
    /// When the directory for temporary files is not writable.
    pub fn new() -> Result<Self> {
        let base = std::env::temp_dir();
        remove_left_over(&base);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(Error::io(format!("make {}", path.display())))?;
        live().push(path.clone());
        Ok(Self(path))
    }

    /// Where it is, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it, making its directories, and returns its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        let what = || Error::io(format!("write {}", path.display()));
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(what())?;
        }
        fs::write(&path, content).map_err(what())?;
        Ok(path)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        live().retain(|path| *path != self.0);
    }
}

/// Removes the directories of all labs of this process; for the way out on a signal.
pub(crate) fn remove_all() {
    for path in live().drain(..) {
        let _ = fs::remove_dir_all(path);
    }
}

fn live() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    // A panic while the list is held leaves it whole: each change is one call.
    LIVE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn remove_left_over(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if owner(&name.to_string_lossy()).is_some_and(is_dead) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Process that made the directory of this name, if it is one of ours.
fn owner(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

fn is_dead(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_have_an_owner() {
        assert_eq!(owner("fw-ctl-lab-123-0"), Some(123));
        for name in ["fw-ctl-lab-", "fw-ctl-lab-x-0", "fw-ctl-lab-1-x", "1-0"] {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    #[test]
    fn a_dead_owner_loses_its_directory_and_a_live_one_keeps_it() {
        let base = WorkDir::new().unwrap();
        // Process 0 is the idle task: it never has an entry in /proc.
        let dead = base.path().join(format!("{PREFIX}0-7"));
        let alive = base
            .path()
            .join(format!("{PREFIX}{}-7", std::process::id()));
        let foreign = base.path().join("somebody-else");
        for path in [&dead, &alive, &foreign] {
            fs::create_dir(path).unwrap();
        }
        remove_left_over(base.path());
        assert!(!dead.exists());
        assert!(alive.exists() && foreign.exists());
    }

    #[test]
    fn dropping_removes_it() {
        let dir = WorkDir::new().unwrap();
        let file = dir.write("a/b.txt", "content").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "content");
        drop(dir);
        assert!(!file.exists());
    }
}
