//! One run of QEMU, from the kernel's first instruction to the results.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::initramfs::{READY, STATUS};
use super::switch::Switch;
use super::{Output, tool};
use crate::{Error, Result, WorkDir};

/// How often a guest is started that dies before its script begins.
const ATTEMPTS: u32 = 3;
/// What the second serial line brought, in the directory of the run.
const ARCHIVE: &str = "results.tar";

/// How the CPUs of a guest share this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// They take turns: slower by a fifth, and free of the races that QEMU's emulation
    /// has where a kernel rewrites its own code while both run.
    One,
    /// Each has a thread of its own, as real ones run beside each other.
    Each,
}

/// What to start.
pub struct Machine<'a> {
    pub kernel: PathBuf,
    pub initramfs: &'a Path,
    /// What it boots from then.
    pub disk: Option<&'a Path>,
    pub cpus: usize,
    pub nics: usize,
    /// What further interfaces are on.
    pub switch: Option<Switch>,
    pub threads: Threads,
    pub limit: Duration,
}

impl Machine<'_> {
    /// Runs it to its end. The results are in `directory`, as the console is.
    pub fn run(&self, directory: WorkDir) -> Result<Output> {
        let mut attempts = 1..=ATTEMPTS;
        loop {
            attempts.next();
            let (ended, console) = self.attempt(directory.path())?;
            let began = console.contains(READY);
            let why = match ended {
                None => format!("it was not done after {} s", self.limit.as_secs()),
                // QEMU loses a race with the kernel's patching of itself now and then.
                Some(_) if !began && !attempts.is_empty() => continue,
                Some(status) if !began => {
                    format!("its script never began, and QEMU ended with {status}")
                }
                Some(_) => {
                    match unpack(&directory.path().join(ARCHIVE), &results(directory.path())) {
                        Some(status) => {
                            return Ok(Output {
                                status,
                                console,
                                directory,
                            });
                        }
                        None => "it died before its script was done".to_owned(),
                    }
                }
            };
            return Err(died(&why, &console));
        }
    }

    /// One start: how it ended, `None` if it had to be ended, and what was written.
    fn attempt(&self, directory: &Path) -> Result<(Option<ExitStatus>, String)> {
        let console = directory.join("console");
        let errors = directory.join("qemu");
        let qemu = tool::find("qemu-system-x86_64", "qemu-system-x86")?;
        let mut command = match &self.switch {
            Some(switch) => switch.command(&qemu),
            None => Command::new(&qemu),
        };
        command.args(self.arguments());
        for serial in [&console, &directory.join(ARCHIVE)] {
            // A comma would begin an option of the file's.
            let path = serial.display().to_string().replace(',', ",,");
            command.arg("-serial").arg(format!("file:{path}"));
        }
        let stderr =
            File::create(&errors).map_err(Error::io(format!("write {}", errors.display())))?;
        command.stderr(stderr);
        let ended = Running::start(command)?.wait(self.limit)?;
        Ok((ended, text(&console) + &text(&errors)))
    }

    fn words(&self) -> &'static str {
        self.disk.map_or("", |_| WORDS_OF_DISK)
    }

    fn arguments(&self) -> Vec<String> {
        let threads = match self.threads {
            Threads::One => "single",
            Threads::Each => "multi",
        };
        let mut arguments: Vec<String> = [
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-accel",
            &format!("tcg,thread={threads}"),
            "-cpu",
            "max",
            "-smp",
            &self.cpus.to_string(),
            "-m",
            "1G",
            "-append",
            &format!(
                "console=ttyS0 loglevel=5 oops=panic panic=-1{}",
                self.words()
            ),
            "-kernel",
            &self.kernel.display().to_string(),
            "-initrd",
            &self.initramfs.display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec();
        if let Some(disk) = self.disk {
            // A comma would begin another option.
            let file = disk.display().to_string().replace(',', ",,");
            // What a guest has written outlives it, not this machine.
            let drive = format!("file={file},format=raw,if=virtio,cache=unsafe");
            arguments.extend(["-drive".to_owned(), drive]);
        }
        for nic in 0..self.nics {
            arguments.extend([
                "-netdev".to_owned(),
                format!("hubport,id=nic{nic},hubid={}", nic / 2),
                "-device".to_owned(),
                device(nic),
            ]);
        }
        for (port, name) in self.switch.iter().flat_map(Switch::ports).enumerate() {
            let nic = self.nics + port;
            arguments.extend([
                "-netdev".to_owned(),
                format!("tap,id=nic{nic},ifname={name},script=no,downscript=no"),
                "-device".to_owned(),
                device(nic),
            ]);
        }
        arguments
    }
}

/// What systemd reads of the kernel's command line: names of interfaces as of the kernel,
/// and no login where a console is read by nobody.
const WORDS_OF_DISK: &str =
    " rw net.ifnames=0 systemd.mask=serial-getty@ttyS0.service systemd.mask=getty@tty1.service";

/// An interface of the guest, without the ROM that would boot from the network.
fn device(nic: usize) -> String {
    format!("virtio-net-pci,netdev=nic{nic},mac=02:f3:00:00:01:{nic:02x},romfile=")
}

/// Where results are below the directory of a run.
pub fn results(directory: &Path) -> PathBuf {
    directory.join("results")
}

fn died(why: &str, console: &str) -> Error {
    let lines: Vec<_> = console.lines().collect();
    let end = &lines[lines.len().saturating_sub(40)..];
    Error::Unexpected(format!(
        "the guest gave no results: {why}; the end of its console:\n{}",
        end.join("\n")
    ))
}

/// A console has carriage returns, and perhaps half a character at its end.
fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\r', "")
}

/// Unpacks what came through the second serial line; returns the script's status.
fn unpack(archive: &Path, to: &Path) -> Option<i32> {
    fs::create_dir(to).ok()?;
    let tar = tool::find("tar", "tar").ok()?;
    tool::output(&tar, &[Path::new("-xf"), archive, Path::new("-C"), to]).ok()?;
    fs::read_to_string(to.join(STATUS))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// QEMU's process; it dies with this value, and with the thread that made it.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let die_together =
            || nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from);
        // SAFETY: between fork and exec the closure only makes a system call.
        unsafe { command.pre_exec(die_together) };
        let child = command
            .spawn()
            .map_err(Error::io("run `qemu-system-x86_64`"))?;
        Ok(Self(child))
    }

    /// How it ended; `None` if it had to be ended.
    fn wait(mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            let ended = self.0.try_wait().map_err(Error::io("wait for QEMU"))?;
            if let Some(status) = ended {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
