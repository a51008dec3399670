//! Debian as it is on a disk, with systemd: made of its packages, without any help of theirs.
//!
//! Packages are unpacked, their scripts are not run, and nothing is done as another user or in
//! another root: what a minimal system needs of that is written out here. What the packages
//! leave to systemd (users, directories) systemd does when it boots.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::apt::Apt;
use super::{cache, kernel, tool};
use crate::{Error, Result, WorkDir};

/// Raised when what is on the disk changes: disks that were made before are not used then.
const VERSION: u32 = 3;
/// What boots, and what a firewall and its test want to find. The rest are dependencies.
const PACKAGES: [&str; 22] = [
    "base-files",
    "base-passwd",
    "bash",
    "bpftool",
    "coreutils",
    "dash",
    "dbus",
    "diffutils",
    "dpkg",
    "grep",
    "init-system-helpers",
    "iproute2",
    "libc-bin",
    "mount",
    "perl-base",
    "procps",
    "sed",
    "systemd",
    "systemd-sysv",
    "tar",
    "udev",
    "util-linux",
];
/// Not used, but else others would be taken, with a whole perl.
const INSTEAD: [&str; 1] = ["usr-is-merged"];
/// For what a test adds; only what is used takes room here.
const SIZE: &str = "512M";

/// A release of Debian on a disk that nobody has booted yet.
#[derive(Clone, Debug)]
pub struct Debian {
    image: PathBuf,
}

impl Debian {
    /// By its name, "bookworm"; it is made once.
    ///
    /// # Errors
    /// [`Error::Missing`] if its packages cannot be got, or `mke2fs` is not installed;
    /// another one if the disk cannot be made.
    pub fn named(release: &str) -> Result<Self> {
        let _lock = kernel::lock()?;
        let image = cache().join(format!("debian-{release}-{VERSION}.ext4"));
        if !image.is_file() {
            make(release, &image)?;
        }
        Ok(Self { image })
    }

    /// A disk with it, to be written by one guest after the other.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn disk(&self) -> Result<Disk> {
        let directory = WorkDir::new()?;
        let image = directory.path().join("disk");
        let arguments = [
            Path::new("--sparse=always"),
            Path::new("--"),
            &self.image,
            &image,
        ];
        tool::output(&tool::find("cp", "coreutils")?, &arguments)?;
        Ok(Disk {
            image,
            _directory: directory,
        })
    }
}

/// A disk of a guest; it is gone with this value.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    _directory: WorkDir,
}

impl Disk {
    pub(super) fn image(&self) -> &Path {
        &self.image
    }
}

fn make(release: &str, image: &Path) -> Result<()> {
    let mke2fs = tool::find("mke2fs", "e2fsprogs")?;
    let apt = Apt::of_release(release)?;
    let work = WorkDir::new()?;
    let root = work.path().join("root");
    let what = || Error::io(format!("make {}", root.display()));
    for name in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(name)).map_err(what())?;
        symlink(Path::new("usr").join(name), root.join(name)).map_err(what())?;
    }
    let packages: Vec<_> = PACKAGES.iter().chain(&INSTEAD).copied().collect();
    apt.unpack_system(&packages, &root)?;
    // As the script of base-passwd does.
    for name in ["passwd", "group"] {
        let master = root.join(format!("usr/share/base-passwd/{name}.master"));
        fs::copy(&master, root.join("etc").join(name))
            .map_err(Error::io(format!("copy {}", master.display())))?;
    }
    for (name, content) in [("hostname", "guest\n"), ("machine-id", "")] {
        fs::write(root.join("etc").join(name), content).map_err(what())?;
    }
    let part = image.with_extension("part");
    // What an interrupted attempt left.
    let _ = fs::remove_file(&part);
    let quickly = "root_owner=0:0,lazy_itable_init=1";
    tool::finish(
        std::process::Command::new(mke2fs)
            .args(["-q", "-t", "ext4", "-E", quickly, "-d"])
            .arg(&root)
            .arg(&part)
            .arg(SIZE),
    )?;
    fs::rename(&part, image).map_err(Error::io(format!("make {}", image.display())))
}
