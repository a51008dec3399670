//! One daemon for one directory: two would fight over the same tables, or write their
//! plans over each other's.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::control::protocol::Failure;
use crate::exit;
use crate::why::why;

/// How often the lock of a state directory is tried: a process that was killed lets go of
/// its locks one after the other.
const TRIES: u32 = 10;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Held as long as the value lives; the kernel releases it when the process dies.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

impl Lock {
    /// Makes `directory` and takes its lock.
    ///
    /// # Errors
    /// When another daemon has it, or the directory cannot be made.
    pub fn take(directory: &Path) -> Result<Self, Failure> {
        let failed = |what: &str, error: std::io::Error| {
            Failure::new(
                exit::UNREACHABLE,
                format!("cannot {what} {}: {}", directory.display(), why(&error)),
            )
            .help("run it as root, or name another directory")
        };
        std::fs::create_dir_all(directory).map_err(|error| failed("make the directory", error))?;
        // The directory itself: a bpffs holds no ordinary files.
        let file = File::open(directory).map_err(|error| failed("open the directory", error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Self { _held: held }),
            Err((_, Errno::EWOULDBLOCK)) => Err(taken(directory, "--run-dir")),
            Err((_, errno)) => Err(failed("lock", errno.into())),
        }
    }

    /// Takes the lock of the state directory. Nothing is written: it is the directory
    /// itself. `None` where it cannot be locked, because it cannot be made or read, or is
    /// one of `locked`, which this process has locked or will: the daemon starts without.
    ///
    /// # Errors
    /// When another daemon has it.
    pub fn take_state(directory: &Path, locked: &[&Path]) -> Result<Option<Self>, Failure> {
        if locked.iter().any(|other| is_same(directory, other)) {
            return Ok(None);
        }
        match state_lock(directory) {
            Ok(held) => Ok(Some(Self { _held: held })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(taken(directory, "--state-dir"))
            }
            Err(error) => {
                tracing::warn!(
                    "the state directory {} cannot be locked: {}; a second daemon with the same \
                     one would not be noticed; try: check that `paths.state_dir` is a directory",
                    directory.display(),
                    why(&error)
                );
                Ok(None)
            }
        }
    }
}

/// What to tell who wants a directory that another daemon has locked.
fn taken(directory: &Path, flag: &str) -> Failure {
    Failure::new(
        exit::REFUSED,
        format!("another fw-ctl daemon uses {}", directory.display()),
    )
    .help(format!(
        "stop it (systemctl stop fw-ctl), or give this one its own {flag}"
    ))
}

fn state_lock(directory: &Path) -> io::Result<Flock<File>> {
    make_private(directory)?;
    // The standard library closes it in every child (O_CLOEXEC).
    let mut file = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECTORY)
        .open(directory)?;
    for _ in 1..TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((same, Errno::EWOULDBLOCK)) => file = same,
            result => return result.map_err(|(_, errno)| errno.into()),
        }
        std::thread::sleep(PAUSE);
    }
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
}

/// Makes a directory that is not there. Nobody else may open it: who may could lock it.
fn make_private(directory: &Path) -> io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o700).create(directory)
}

/// Whether two paths lead to one directory.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = path.metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let first = Lock::take(&path).unwrap();
        let failure = Lock::take(&path).unwrap_err();
        assert_eq!(failure.exit, exit::REFUSED);
        assert!(failure.message.contains("another fw-ctl daemon uses"));
        drop(first);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn a_state_directory_is_one_daemons() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("var/state");
        let first = Lock::take_state(&path, &[]).unwrap().unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        let failure = Lock::take_state(&path, &[]).unwrap_err();
        assert_eq!(failure.exit, exit::REFUSED);
        let told = format!("another fw-ctl daemon uses {}", path.display());
        assert_eq!(failure.message, told);
        assert!(failure.help.unwrap().ends_with("--state-dir"));
        drop(first);
        assert!(Lock::take_state(&path, &[]).unwrap().is_some());
        let left: Vec<_> = path.read_dir().unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn who_lets_go_in_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take_state(dir.path(), &[]).unwrap();
        let ending = std::thread::spawn(move || {
            std::thread::sleep(PAUSE * 2);
            drop(first);
        });
        assert!(Lock::take_state(dir.path(), &[]).unwrap().is_some());
        ending.join().unwrap();
    }

    #[test]
    fn a_child_does_not_inherit_the_lock_of_the_state_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take_state(dir.path(), &[]).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn();
        drop(first);
        let again = Lock::take_state(dir.path(), &[]);
        let child = child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(again.unwrap().is_some());
    }

    #[test]
    fn a_state_directory_that_cannot_be_locked_keeps_no_daemon_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [&file, &file.join("below"), &"/proc/fw-ctl".into()] {
            assert!(Lock::take_state(path, &[]).unwrap().is_none(), "{path:?}");
        }
    }

    #[test]
    fn a_state_directory_that_is_also_the_run_directory_is_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let run = Lock::take(dir.path()).unwrap();
        let same = dir.path().join(".");
        assert!(Lock::take_state(&same, &[dir.path()]).unwrap().is_none());
        drop(run);
    }
}
