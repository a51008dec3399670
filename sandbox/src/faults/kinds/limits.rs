//! Too much of everything: policies that fit no table, and a process that gets no more
//! descriptors or memory, so that it can make no more tables.

use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use sandbox::{Error, Result};

use super::Kind;
use crate::faults::actions::Expect;
use crate::faults::files::write_whole;
use crate::faults::policies;
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::new("policies too large for the tables", too_large),
    Kind::new("no descriptors for a change", |world| {
        during_change(world, Limit::Descriptors)
    }),
    Kind::new("no memory for a change", |world| {
        during_change(world, Limit::Memory)
    }),
    Kind::new("no files for a change", |world| {
        during_change(world, Limit::FileSize)
    }),
    Kind::new("no descriptors at the start", |world| {
        at_start(world, Limit::Descriptors)
    }),
    Kind::new("no memory at the start", |world| {
        at_start(world, Limit::Memory)
    }),
];

/// How long a change is tried that cannot be made.
const TRY: Duration = Duration::from_secs(3);
/// How long it may take when nothing is in its way any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that has closed its socket has ended by then.
const DEATH: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug)]
enum Limit {
    Descriptors,
    Memory,
    FileSize,
}

impl Limit {
    /// As prlimit(1) calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "nofile",
            Self::Memory => "as",
            Self::FileSize => "fsize",
        }
    }

    /// What it is without us.
    fn usual(self) -> &'static str {
        match self {
            Self::Descriptors => "1024",
            Self::Memory | Self::FileSize => "unlimited",
        }
    }

    /// Little enough for something to fail; what, is left to chance.
    fn little(self, world: &mut World) -> String {
        match self {
            Self::Descriptors => (3 + world.dice.below(60)).to_string(),
            Self::Memory => ((1 + world.dice.below(400)) << 20).to_string(),
            Self::FileSize => "4096".into(),
        }
    }

    /// From now on.
    fn set(self, pid: Pid, to: &str) -> Result<()> {
        let name = self.name();
        let output = Command::new("prlimit")
            .args(["--pid", &pid.to_string(), &format!("--{name}={to}:")])
            .output()
            .map_err(Error::io("run prlimit (of util-linux)"))?;
        // The process may be dead: then there is nothing to limit.
        if !output.status.success() && nix::sys::signal::kill(pid, None).is_ok() {
            return Err(Error::Command {
                command: format!("prlimit --{name}={to}"),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        Ok(())
    }
}

fn too_large(world: &mut World) -> Result<()> {
    for (name, text) in policies::too_large() {
        write_whole(&world.fw_ctl.files().policies.join(name), &text)?;
    }
    world.reload(&[], Expect::Refused(4)).map(drop)
}

/// The daemon may refuse the change, or die: whatever it does, one plan is in force. When
/// it can breathe again, it answers.
fn during_change(world: &mut World, limit: Limit) -> Result<()> {
    world.write_plan()?;
    let little = limit.little(world);
    let pid = world.daemon()?.pid();
    limit.set(pid, &little)?;
    let mut reload = world.begin_reload(&[])?;
    let tried = wait(&mut reload, TRY)?;
    if tried.is_some_and(|status| !status.success()) {
        // It may be dying of it.
        sleep(DEATH);
    }
    let dead = world.daemon()?.ended()?.is_some();
    if !dead {
        limit.set(pid, limit.usual())?;
    }
    let ended = match tried {
        Some(status) => Some(status),
        None => wait(&mut reload, PATIENCE)?,
    };
    world.require(ended.is_some(), || {
        format!("limited to {little} of {}: the reload hangs", limit.name())
    });
    let _ = reload.kill();
    let _ = reload.wait();
    Ok(())
}

fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + patience;
    loop {
        let status = child.try_wait().map_err(Error::io("wait for fw-ctl"))?;
        if status.is_some() || Instant::now() > end {
            return Ok(status);
        }
        sleep(Duration::from_millis(20));
    }
}

fn at_start(world: &mut World, limit: Limit) -> Result<()> {
    world.kill()?;
    world.write_plan()?;
    world.spawn()?;
    // It may be anywhere in its start by then.
    let moment = world.dice.span(Duration::ZERO, Duration::from_millis(300));
    let little = limit.little(world);
    sleep(moment);
    let pid = world.daemon()?.pid();
    limit.set(pid, &little)?;
    sleep(Duration::from_secs(1));
    world.kill()?;
    sleep(Duration::from_millis(200));
    Ok(())
}
