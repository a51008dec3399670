//! One daemon for one directory: two would fight over the same tables.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::control::protocol::Failure;
use crate::exit;
use crate::why::why;

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
            Err((_, Errno::EWOULDBLOCK)) => Err(Failure::new(
                exit::REFUSED,
                format!("another fw-ctl daemon uses {}", directory.display()),
            )
            .help("stop it (systemctl stop fw-ctl), or give this one its own --run-dir")),
            Err((_, errno)) => Err(failed("lock", errno.into())),
        }
    }
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
}
