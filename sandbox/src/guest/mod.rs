//! A machine of its own with a kernel that is not this one's: Debian's, run by QEMU
//! without any help of the processor.
//!
//! It boots in two seconds from nothing but a file system in memory: busybox, the
//! programs and files that were asked for, and a script. What the script leaves in
//! `/out` comes back. There is no disk, no network to the outside and no trace.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use sandbox::guest::{Guest, Kernel};
//! # fn main() -> sandbox::Result<()> {
//! let kernel = Kernel::of_series("6.12")?;
//! let output = Guest::new(&kernel)
//!     .program("ip")
//!     .nics(2)
//!     .run("/bin/ip -o link >/out/links", Duration::from_mins(1))?;
//! assert_eq!(output.status, 0, "{}", output.console);
//! assert!(output.file("links")?.contains("eth1"));
//! # Ok(())
//! # }
//! ```

mod apt;
mod archive;
mod debian;
mod initramfs;
mod kernel;
mod machine;
mod matrix;
mod module;
mod package;
mod switch;
pub(crate) mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use debian::{Debian, Disk};
pub use kernel::{Kernel, NEWEST};
pub use machine::Threads;
pub use matrix::{on_each_kernel, on_the_outermost_kernels};
pub use package::unpacked;

use crate::{Error, Result, WorkDir};

/// A guest that has not been started yet.
#[derive(Clone, Debug)]
pub struct Guest<'a> {
    kernel: &'a Kernel,
    disk: Option<&'a Disk>,
    cpus: usize,
    nics: usize,
    switched: usize,
    threads: Threads,
    modules: Vec<String>,
    programs: Vec<PathBuf>,
    files: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Guest<'a> {
    /// With two CPUs, 1 GiB, busybox and no network.
    #[must_use]
    pub fn new(kernel: &'a Kernel) -> Self {
        Self {
            kernel,
            disk: None,
            cpus: 2,
            nics: 0,
            switched: 0,
            threads: Threads::One,
            modules: Vec::new(),
            programs: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Boots what is on a disk: its systemd, and when that is done, the script, by the
    /// shell and the programs of the disk. Programs and busybox are in `/run/bin`, and of
    /// files only those below `/run` are there, before anything on the disk runs. Results
    /// are what the script leaves in `/run/guest/out`. Then it reboots, which ends the
    /// guest; the next one with this disk goes on from there.
    #[must_use]
    pub fn disk(mut self, disk: &'a Disk) -> Self {
        self.disk = Some(disk);
        self.module("virtio_pci")
            .module("virtio_blk")
            .module("ext4")
    }

    /// That many virtio interfaces, `eth0` and so on, joined in pairs as by a cable:
    /// `eth0` with `eth1`, `eth2` with `eth3`.
    #[must_use]
    pub fn nics(mut self, count: usize) -> Self {
        self.nics = count;
        self.module("virtio_pci").module("virtio_net")
    }

    /// That many virtio interfaces more, behind those of [`Self::nics`], all on one switch:
    /// a bridge of this machine's kernel, in a network namespace of its own. Unlike the
    /// cables it takes and gives large TCP segments in one piece, as a hypervisor's does
    /// (guest offloads). It needs root, and `/dev/net/tun`.
    #[must_use]
    pub fn switched(mut self, count: usize) -> Self {
        self.switched = count;
        self.module("virtio_pci").module("virtio_net")
    }

    /// With that many CPUs.
    #[must_use]
    pub fn cpus(mut self, count: usize) -> Self {
        self.cpus = count;
        self
    }

    /// How its CPUs share this machine's; if not said, [`Threads::One`].
    #[must_use]
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// Loads a module of the kernel with what it depends on; nothing, if it is built in.
    #[must_use]
    pub fn module(mut self, name: &str) -> Self {
        self.modules.push(name.to_owned());
        self
    }

    /// Takes a program of this machine along, with its shared objects and without what
    /// only debuggers read: a name in the search path, or a path. It is in the guest's
    /// search path under its file name.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.programs.push(program.into());
        self
    }

    /// Takes a file or a directory of this machine along, to this place in the guest.
    #[must_use]
    pub fn file(mut self, host: impl Into<PathBuf>, guest: impl Into<PathBuf>) -> Self {
        self.files.push((host.into(), guest.into()));
        self
    }

    /// Boots, runs a script of busybox's shell as root, and waits for its end. This shell
    /// prefers what busybox has to a program of the same name: say `/bin/ip` there.
    ///
    /// # Errors
    /// [`Error::Missing`] if QEMU or busybox is not installed. Another one if something
    /// that it shall take along is not there, or if it died or took longer than `limit`:
    /// the end of its console is in the message. A status of the script other than 0 is
    /// no error.
    pub fn run(&self, script: &str, limit: Duration) -> Result<Output> {
        let directory = WorkDir::new()?;
        let mut contents = initramfs::Initramfs::new()?;
        for program in &self.programs {
            contents.program(program, directory.path())?;
        }
        for (host, guest) in &self.files {
            contents.copy(host, guest)?;
        }
        contents.modules(&self.kernel.modules(&self.modules)?);
        let initramfs = directory.path().join("initramfs");
        let contents = match self.disk {
            Some(_) => contents.finish_for_disk(script),
            None => contents.finish(script),
        };
        fs::write(&initramfs, contents)
            .map_err(Error::io(format!("write {}", initramfs.display())))?;
        let switch = match self.switched {
            0 => None,
            ports => Some(switch::Switch::new(ports)?),
        };
        machine::Machine {
            kernel: self.kernel.image(),
            initramfs: &initramfs,
            disk: self.disk.map(Disk::image),
            cpus: self.cpus,
            nics: self.nics,
            switch,
            threads: self.threads,
            limit,
        }
        .run(directory)
    }
}

/// What a guest left.
#[derive(Debug)]
pub struct Output {
    /// Exit status of the script.
    pub status: i32,
    /// What the kernel and the script wrote.
    pub console: String,
    directory: WorkDir,
}

impl Output {
    /// A file that the script wrote to `/out`.
    ///
    /// # Errors
    /// If there is none, or it is no text.
    pub fn file(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.path(name)).map_err(Error::io(format!(
            "read what the guest wrote to /out/{name}"
        )))
    }

    /// Where a file that the script wrote to `/out` is on this machine, as long as this
    /// value lives.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.results().join("out").join(name)
    }

    fn results(&self) -> PathBuf {
        machine::results(self.directory.path())
    }
}

/// Says why a guest cannot be had, in a test: one line `skipped: …`, or the end of the
/// test where `FW_KERNEL_TESTS=require`. Other errors end it anyway.
///
/// # Panics
/// As said.
pub fn or_skip<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Missing { what, why, advice }) => {
            crate::under_test::skip(&format!("{what}: {why}; try: {advice}"))
        }
        Err(error) => panic!("{error}"),
    }
}

/// Where unpacked kernels are kept: they outlive the process.
fn cache() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.toolchain/guests"))
}
