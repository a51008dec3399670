//! One network namespace, held open by a file descriptor.
//!
//! A namespace may come with a mount namespace that has a sysfs of its own and a
//! bpffs of its own at the usual place: `ip netns exec` would mount a new `/sys`
//! for every command and so hide the bpffs, and a machine's own bpffs (if there
//! is one) must not see the pins of a test.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal};

use crate::{Error, Result};

/// A network namespace, and perhaps a mount namespace beside it.
#[derive(Clone, Debug)]
pub struct Namespace {
    net: Arc<OwnedFd>,
    mounts: Option<Arc<OwnedFd>>,
}

impl Namespace {
    /// A new network namespace with its loopback up; mounts are this process's.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or when `ip` cannot be run.
    pub fn new() -> Result<Self> {
        Self::create(false)
    }

    /// The same, with a private `/sys` and a private bpffs at `/sys/fs/bpf`.
    ///
    /// # Errors
    /// As for [`Self::new`], or when the kernel has no bpffs.
    pub fn with_bpffs() -> Result<Self> {
        Self::create(true)
    }

    /// A new network namespace that shares the mounts of another one, its bpffs too.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn beside(other: &Self) -> Result<Self> {
        Ok(Self {
            mounts: other.mounts.clone(),
            ..Self::new()?
        })
    }

    /// The one in which the calling thread is.
    ///
    /// # Errors
    /// Without a `/proc`.
    pub fn here() -> Result<Self> {
        Ok(Self {
            net: Arc::new(own_namespace("net")?),
            mounts: None,
        })
    }

    fn create(mounts: bool) -> Result<Self> {
        let made = thread::scope(|scope| {
            let thread = scope.spawn(|| -> Result<Self> {
                unshare(CloneFlags::CLONE_NEWNET).map_err(Error::io(
                    "make a network namespace (the lab needs to run as root)",
                ))?;
                if mounts {
                    unshare(CloneFlags::CLONE_NEWNS)
                        .map_err(Error::io("make a mount namespace"))?;
                    mount_private()?;
                }
                Ok(Self {
                    net: Arc::new(own_namespace("net")?),
                    mounts: match mounts {
                        true => Some(Arc::new(own_namespace("mnt")?)),
                        false => None,
                    },
                })
            });
            join(thread)
        })?;
        made.ip(["link set lo up"])?;
        Ok(made)
    }

    /// Runs `work` in a thread of its own inside the network namespace. Sockets
    /// that it makes stay in the namespace wherever they are used later.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            join(scope.spawn(|| {
                setns(self.net.as_ref(), CloneFlags::CLONE_NEWNET)
                    .expect("whoever could make the namespace may enter it");
                work()
            }))
        })
    }

    /// A command that will run inside, and be killed when the *thread* that starts
    /// it ends. Its working directory is `/`, so give it absolute paths.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let (net, mounts) = (self.net.clone(), self.mounts.clone());
        let enter = move || -> io::Result<()> {
            if let Some(mounts) = &mounts {
                setns(mounts.as_ref(), CloneFlags::CLONE_NEWNS)?;
            }
            setns(net.as_ref(), CloneFlags::CLONE_NEWNET)?;
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // What this process leaves to one of its threads is a child's own business.
            SigSet::empty().thread_set_mask()?;
            Ok(())
        };
        // SAFETY: between fork and exec the closure only makes system calls, takes
        // no lock and allocates nothing; it owns the descriptors that it uses.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs a command inside and returns what it wrote to stdout.
    ///
    /// # Errors
    /// When it cannot be started or exits with anything but 0.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.run_with_input(program, arguments, "")
    }

    /// Runs a command inside with `input` on its stdin.
    ///
    /// # Errors
    /// When it cannot be started or exits with anything but 0.
    pub fn run_with_input(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .command(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io(format!("run `{program}` (is it installed?)")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that exits early has said why on stderr.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child
            .wait_with_output()
            .map_err(Error::io(format!("wait for `{program}`")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Command {
            command: format!("{program} {} {input}", arguments.join(" ")),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Runs lines of `ip` commands inside, all in one process.
    ///
    /// # Errors
    /// At the first line that fails.
    pub fn ip<S: AsRef<str>>(&self, lines: impl IntoIterator<Item = S>) -> Result<()> {
        let mut batch = String::new();
        for line in lines {
            batch.push_str(line.as_ref());
            batch.push('\n');
        }
        self.run_with_input("ip", &["-batch", "-"], &batch)
            .map(drop)
    }

    /// Writes a sysctl of the namespace, `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// When there is no such sysctl or it does not take the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{name}");
        self.enter(|| std::fs::write(&path, value))
            .map_err(Error::io(format!("write `{value}` to {path}")))
    }

    /// A path by which other processes can open the network namespace while this
    /// process lives; for `ip link … netns PATH` and `nsenter --net=PATH`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.net.as_raw_fd()).into()
    }
}

/// The calling thread's namespace of a kind, kept alive by the descriptor.
fn own_namespace(kind: &str) -> Result<OwnedFd> {
    let path = format!("/proc/thread-self/ns/{kind}");
    let file = File::open(&path).map_err(Error::io(format!("open {path}")))?;
    Ok(file.into())
}

/// In a fresh mount namespace: keep our mounts to ourselves, show the namespace's
/// own interfaces in `/sys`, and put a bpffs where programs expect one.
fn mount_private() -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(Error::io("make the lab's mounts private"))?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none)
        .map_err(Error::io("mount a sysfs for the node's namespace"))?;
    mount(
        Some("bpf"),
        "/sys/fs/bpf",
        Some("bpf"),
        MsFlags::empty(),
        none,
    )
    .map_err(Error::io("mount a bpffs for the node"))
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
