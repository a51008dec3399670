//! A process in a root file system of its own, started as a container runtime starts it: with
//! bind mounts, a read-only root, few capabilities, and no way to get more. Its network is
//! that of a namespace of the lab, as with the host's network.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;
use nix::unistd::{chdir, chroot};

use crate::{Error, Namespace, Result};

/// Capabilities that the kernel may have, now or later: their sets have 64 bits.
const CAPABILITIES: u8 = 64;

/// What a runtime is told of a container.
#[derive(Clone, Debug)]
pub struct Container {
    namespace: Namespace,
    root: PathBuf,
    mounts: Vec<Mount>,
    environment: Vec<(String, String)>,
    capabilities: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Mount {
    source: PathBuf,
    /// In the root, seen from outside.
    target: PathBuf,
    read_only: bool,
}

impl Container {
    /// With the root file system that is unpacked at `root`, and without any capability.
    #[must_use]
    pub fn new(namespace: &Namespace, root: &Path) -> Self {
        Self {
            namespace: namespace.clone(),
            root: root.to_owned(),
            mounts: Vec::new(),
            environment: Vec::new(),
            capabilities: Vec::new(),
        }
    }

    /// The same with a file or directory of the lab at `destination`. What it is mounted on is
    /// made, as runtimes do.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn mount(mut self, source: &Path, destination: &str, read_only: bool) -> Result<Self> {
        let target = self.root.join(destination.trim_start_matches('/'));
        let what = || Error::io(format!("make {}", target.display()));
        if source.is_dir() {
            fs::create_dir_all(&target).map_err(what())?;
        } else if !target.exists() {
            let parent = target.parent().unwrap_or(&self.root);
            fs::create_dir_all(parent).map_err(what())?;
            fs::write(&target, "").map_err(what())?;
        }
        self.mounts.push(Mount {
            source: source.to_owned(),
            target,
            read_only,
        });
        Ok(self)
    }

    /// The same with `NAME=VALUE` in its environment, which is empty otherwise.
    #[must_use]
    pub fn variable(mut self, assignment: &str) -> Self {
        let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same with these capabilities and no others: numbers of `linux/capability.h`.
    #[must_use]
    pub fn capabilities(mut self, capabilities: &[u8]) -> Self {
        self.capabilities = capabilities.to_vec();
        self
    }

    /// A process inside: a program of the container, and its arguments. Like every child of
    /// the lab it is killed when the thread that starts it ends.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, line: &[S]) -> Command {
        let program = line.first().map_or(OsStr::new("/"), AsRef::as_ref);
        let mut command = self.namespace.command(program);
        command.args(line.iter().skip(1)).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let (root, mounts) = (self.root.clone(), self.mounts.clone());
        let places = [root.join("proc"), root.join("sys"), root.join("dev")];
        let keep = self.capabilities.clone();
        let enter = move || -> io::Result<()> {
            unshare(CloneFlags::CLONE_NEWNS)?;
            enter_root(&root, &places, &mounts)?;
            drop_capabilities(&keep)
        };
        // SAFETY: between fork and exec the closure only makes system calls and takes no lock.
        // Paths of less than 1024 bytes are handed to the kernel from the stack.
        unsafe { command.pre_exec(enter) };
        command
    }
}

/// In a mount namespace of its own: the file systems that every container has, the mounts, and
/// nothing else from then on.
fn enter_root(root: &Path, [proc, sys, dev]: &[PathBuf; 3], mounts: &[Mount]) -> io::Result<()> {
    let none = None::<&str>;
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(none, "/", none, private, none)?;
    mount(Some(root), root, none, bind, none)?;
    mount(Some("proc"), proc, Some("proc"), quiet, none)?;
    // The namespace's interfaces, and nothing to write to.
    let read_only = quiet | MsFlags::MS_RDONLY;
    mount(Some("sysfs"), sys, Some("sysfs"), read_only, none)?;
    mount(Some("/dev"), dev, none, bind, none)?;
    let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    for mounted in mounts {
        mount(Some(&mounted.source), &mounted.target, none, bind, none)?;
        if mounted.read_only {
            mount(none, &mounted.target, none, again, none)?;
        }
    }
    mount(none, root, none, again, none)?;
    chroot(root)?;
    chdir("/")?;
    Ok(())
}

/// For root, what is not in the bounding set is gone with the next exec.
fn drop_capabilities(keep: &[u8]) -> io::Result<()> {
    for capability in (0..CAPABILITIES).filter(|capability| !keep.contains(capability)) {
        let number = libc::c_ulong::from(capability);
        // SAFETY: takes a number, and touches no memory.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        // Numbers that this kernel does not have.
        if Errno::result(result).is_err_and(|error| error != Errno::EINVAL) {
            return Err(io::Error::last_os_error());
        }
    }
    set_no_new_privs()?;
    Ok(())
}
