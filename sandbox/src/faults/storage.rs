//! State and run directory of the daemon: small file systems of their own, which can be
//! filled and made read-only.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount, umount};
use sandbox::{Error, Result};

/// Bytes of each.
const SIZE: &str = "size=8m";
/// What fills it.
const FILLER: &str = "filler";

/// Both.
#[derive(Debug)]
pub struct Storage {
    /// `paths.state_dir`
    pub state: PathBuf,
    /// `paths.run_dir`
    pub run: PathBuf,
}

impl Storage {
    /// Mounts both below `base`, in the mount namespace of the calling thread.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn mount(base: &Path) -> Result<Self> {
        let [state, run] = ["state", "run"].map(|name| base.join(name));
        for path in [&state, &run] {
            fs::create_dir(path).map_err(Error::io(format!("make {}", path.display())))?;
            let kind = Some("tmpfs");
            mount(kind, path, kind, MsFlags::empty(), Some(SIZE))
                .map_err(Error::io(format!("mount a tmpfs on {}", path.display())))?;
        }
        Ok(Self { state, run })
    }

    /// Leaves no byte in a directory of them.
    ///
    /// # Errors
    /// When the filler cannot even be begun.
    pub fn fill(path: &Path) -> Result<()> {
        let filler = path.join(FILLER);
        let mut file =
            File::create(&filler).map_err(Error::io(format!("make {}", filler.display())))?;
        let block = vec![0; 64 * 1024];
        while file.write_all(&block).is_ok() {}
        Ok(())
    }

    /// Makes the file system of a directory read-only, or writable again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_read_only(path: &Path, read_only: bool) -> Result<()> {
        let flags = match read_only {
            true => MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
            false => MsFlags::MS_REMOUNT,
        };
        mount(None::<&str>, path, None::<&str>, flags, Some(SIZE))
            .map_err(Error::io(format!("remount {}", path.display())))
    }

    /// Both are writable and have room.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn mend(&self) -> Result<()> {
        for path in [&self.state, &self.run] {
            Self::set_read_only(path, false)?;
            let _ = fs::remove_file(path.join(FILLER));
        }
        Ok(())
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        for path in [&self.state, &self.run] {
            let _ = umount(path);
        }
    }
}
