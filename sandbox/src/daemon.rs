//! The program under test: `fw-ctl daemon` in the node's namespaces, and every
//! other `fw-ctl` command asked of it there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::{Error, Lab, Namespace, Result};

/// How long a daemon may take until it answers; a debug build is slow to start, and an
/// emulated kernel slow to look through the programs.
const START: Duration = Duration::from_mins(2);

/// The directories of one instance and its configuration.
#[derive(Clone, Debug)]
pub struct DaemonFiles {
    /// `fw-ctl.toml`.
    pub config: PathBuf,
    /// Policies: every file in it is read.
    pub policies: PathBuf,
    /// Inventory: every file in it is read.
    pub inventory: PathBuf,
    /// Journal of plans.
    pub state: PathBuf,
    /// Control socket.
    pub run: PathBuf,
    /// What the daemon writes to stdout and stderr.
    pub log: PathBuf,
}

impl DaemonFiles {
    /// Makes the directories below the lab's own, and a configuration of `settings`
    /// (everything but the paths, which are added).
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn new(lab: &Lab, settings: &Settings) -> Result<Self> {
        let base = lab.dir.path();
        let files = Self {
            config: base.join("fw-ctl.toml"),
            policies: base.join("policies"),
            inventory: base.join("inventory"),
            state: base.join("state"),
            run: base.join("run"),
            log: base.join("daemon.log"),
        };
        for directory in [&files.policies, &files.inventory, &files.state, &files.run] {
            fs::create_dir_all(directory)
                .map_err(Error::io(format!("make {}", directory.display())))?;
        }
        lab.dir.write("fw-ctl.toml", &files.config_text(settings))?;
        Ok(files)
    }

    fn config_text(&self, settings: &Settings) -> String {
        format!(
            "[node]\nname = \"{node}\"\n\n\
             [policy]\nmode = \"{mode}\"\ndirs = [{policies:?}]\ninventory = [{inventory:?}]\n\n\
             [interfaces]\ninclude = [\"{include}\"]\nxdp = \"{xdp}\"\n\n\
             [failsafe]\ninbound = []\noutbound = []\n",
            node = settings.node,
            mode = settings.mode,
            include = settings.include,
            xdp = settings.xdp,
            policies = self.policies,
            inventory = self.inventory,
        )
    }
}

/// What a configuration of the lab varies.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the node in the inventory.
    pub node: &'static str,
    /// `audit` or `enforce`.
    pub mode: &'static str,
    /// The interfaces: a name, a glob or `auto`.
    pub include: &'static str,
    /// `native`, `generic`, `off` or `auto`.
    pub xdp: &'static str,
}

/// What a command answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Exit code; 128 and more: the signal that ended it.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

/// The `fw-ctl` binary, run in the namespaces of the lab's node.
#[derive(Clone, Debug)]
pub struct FwCtl {
    binary: PathBuf,
    namespace: Namespace,
    files: DaemonFiles,
    /// What the daemon is started with beside its files.
    flags: Vec<String>,
}

/// Exit code of a command whose daemon does not answer.
const UNREACHABLE: i32 = 5;
/// How often a busy daemon is asked again: the command itself waits for 15 s.
const BUSY: usize = 4;

impl FwCtl {
    /// The binary at `binary`, for the instance with these files.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn new(lab: &Lab, binary: &Path, files: DaemonFiles) -> Result<Self> {
        let binary = binary.canonicalize().map_err(Error::io(format!(
            "find the fw-ctl binary {} (build it first: make build)",
            binary.display()
        )))?;
        Ok(Self {
            binary,
            namespace: lab.node.namespace.clone(),
            files,
            flags: Vec::new(),
        })
    }

    /// The same, whose daemon is started with one flag more.
    #[must_use]
    pub fn with_flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// The files of the instance.
    #[must_use]
    pub fn files(&self) -> &DaemonFiles {
        &self.files
    }

    /// A command of the running daemon, as `["status", "-o", "json"]`.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.offline_command(arguments);
        command.arg("--run-dir").arg(&self.files.run);
        command
    }

    /// A command that needs no daemon, as `["policy", "test", …]`.
    #[must_use]
    pub fn offline_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.namespace.command(&self.binary);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command of the running daemon to its end.
    ///
    /// # Errors
    /// When the binary cannot be started; an exit code is no error.
    pub fn ask(&self, arguments: &[&str]) -> Result<Answer> {
        answer(self.command(arguments))
    }

    /// Runs a command that needs no daemon to its end.
    ///
    /// # Errors
    /// When the binary cannot be started; an exit code is no error.
    pub fn ask_offline(&self, arguments: &[&str]) -> Result<Answer> {
        answer(self.offline_command(arguments))
    }

    /// Runs a command of the running daemon that must exit with 0.
    ///
    /// # Errors
    /// When it does not.
    pub fn must(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.ask(arguments)?;
        match answer.code {
            0 => Ok(answer.stdout),
            code => Err(Error::Unexpected(format!(
                "`fw-ctl {}` exited with {code}: {}",
                arguments.join(" "),
                answer.stderr.trim()
            ))),
        }
    }

    /// What `fw-ctl status -o json` says; a degraded daemon answers too, and a busy one (it
    /// may be handing programs to an emulated kernel's verifier) is asked again.
    ///
    /// # Errors
    /// When it answers with anything else.
    pub fn status(&self) -> Result<Status> {
        let mut answer = self.ask(&["status", "-o", "json"])?;
        for _ in 0..BUSY {
            if answer.code != UNREACHABLE || !answer.stderr.contains("has not answered") {
                break;
            }
            answer = self.ask(&["status", "-o", "json"])?;
        }
        serde_json::from_str(&answer.stdout).map_err(|error| {
            Error::Unexpected(format!(
                "`fw-ctl status -o json` is not as expected: {error}; exit code {}, stdout `{}`, \
                 stderr `{}`",
                answer.code,
                answer.stdout.trim(),
                answer.stderr.trim()
            ))
        })
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Errors
    /// When it ends before that or takes too long; its log is in the message.
    pub fn start(&self) -> Result<Daemon> {
        let mut daemon = self.spawn()?;
        let end = Instant::now() + START;
        loop {
            if let Some(status) = daemon.ended()? {
                return Err(Error::Unexpected(format!(
                    "the daemon ended with {status} instead of serving:\n{}",
                    self.log()
                )));
            }
            if self.files.run.join("control.sock").exists() && self.status().is_ok() {
                return Ok(daemon);
            }
            if Instant::now() > end {
                let asked = self.status().err().map(|error| error.to_string());
                return Err(Error::Unexpected(format!(
                    "the daemon does not answer: {}\n{}",
                    asked.unwrap_or_default(),
                    self.log()
                )));
            }
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Starts the daemon and returns at once.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn spawn(&self) -> Result<Daemon> {
        let log = |append| {
            File::options()
                .create(true)
                .append(append)
                .open(&self.files.log)
                .map_err(Error::io(format!("open {}", self.files.log.display())))
        };
        let child = self
            .offline_command(&["daemon"])
            .args(&self.flags)
            .arg("--config")
            .arg(&self.files.config)
            .arg("--state-dir")
            .arg(&self.files.state)
            .arg("--run-dir")
            .arg(&self.files.run)
            .stdout(log(true)?)
            .stderr(log(true)?)
            .spawn()
            .map_err(Error::io(format!("start {}", self.binary.display())))?;
        Ok(Daemon { child })
    }

    /// The last lines that the daemon wrote.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.files.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

fn answer(mut command: Command) -> Result<Answer> {
    use std::os::unix::process::ExitStatusExt;
    let output = command.output().map_err(Error::io(format!(
        "run {}",
        command.get_program().display()
    )))?;
    let signal = || 128 + output.status.signal().unwrap_or(0);
    Ok(Answer {
        code: output.status.code().unwrap_or_else(signal),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A running daemon; dropping it kills it. What it has pinned stays in the lab.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Its process, for signals.
    #[must_use]
    pub fn pid(&self) -> nix::unistd::Pid {
        // Process numbers of Linux are below 2^22 (PID_MAX_LIMIT).
        nix::unistd::Pid::from_raw(self.child.id() as i32)
    }

    /// SIGKILL, as from the kernel when memory is short: no chance to clean up.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().map_err(Error::io("kill the daemon"))?;
        self.child
            .wait()
            .map_err(Error::io("wait for the daemon"))?;
        Ok(())
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        self.child
            .try_wait()
            .map_err(Error::io("wait for the daemon"))
    }

    /// Waits for its end, at most `patience`; returns how it ended.
    ///
    /// # Errors
    /// When it goes on.
    pub fn wait(mut self, patience: Duration) -> Result<std::process::ExitStatus> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(Error::Unexpected("the daemon goes on running".into()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The part of `fw-ctl status -o json` that the lab looks at.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Status {
    /// Version of the answer.
    pub schema: u32,
    /// `audit` or `enforce`.
    pub mode: String,
    /// Whether something is not as declared: a flag, a reason, or a list of them.
    pub degraded: serde_json::Value,
    /// Every interface that is filtered.
    pub interfaces: Vec<StatusInterface>,
    /// Every interface that is not.
    pub unfiltered: Vec<StatusUnfiltered>,
    /// What became of packets.
    pub counters: Vec<StatusCounter>,
    /// The plan in force.
    pub generation: serde_json::Value,
    /// Which programs filter, and whether they were seen to judge by the plan.
    #[serde(default)]
    pub datapath: serde_json::Value,
}

/// One interface of [`Status`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StatusInterface {
    /// `eth0`.
    pub name: String,
    /// `xdp-native`, `xdp-generic` or `tc`.
    pub ingress: String,
    /// `tc`.
    pub egress: String,
}

/// One interface of [`Status`] that is not filtered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StatusUnfiltered {
    /// `wg0`.
    pub name: String,
    /// Why.
    pub why: String,
    /// Traffic of the node may pass here unfiltered.
    pub gap: bool,
}

/// One counter of [`Status`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StatusCounter {
    /// `ingress` or `egress`.
    pub direction: String,
    /// `allowed`, `reply`, `dropped/default-deny`, …
    pub name: String,
    /// Packets.
    pub packets: u64,
}

impl Status {
    /// How packets that arrive on an interface are judged; `None`: they are not.
    #[must_use]
    pub fn ingress_of(&self, name: &str) -> Option<&str> {
        let row = self.interfaces.iter().find(|row| row.name == name)?;
        Some(&row.ingress)
    }

    /// Whether something is not as declared.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        use serde_json::Value::{Array, Bool, Null, String};
        match &self.degraded {
            Null => false,
            Bool(degraded) => *degraded,
            String(reason) => !reason.is_empty(),
            Array(reasons) => !reasons.is_empty(),
            _ => true,
        }
    }

    /// How packets that arrive on `eth0` are judged.
    #[must_use]
    pub fn ingress(&self) -> Option<&str> {
        self.ingress_of("eth0")
    }
}
