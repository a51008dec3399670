//! The disk: full, read-only, or what the daemon keeps is gone.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use sandbox::Result;

use super::Kind;
use crate::faults::actions::Expect;
use crate::faults::journal;
use crate::faults::storage::Storage;
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::new("state directory full", |world| {
        unwritable(world, Trouble::Full)
    }),
    Kind::new("state directory read-only", |world| {
        unwritable(world, Trouble::ReadOnly)
    }),
    Kind::new("state directory emptied", emptied),
    Kind::new("run directory full", |world| run(world, Trouble::Full)),
    Kind::new("run directory read-only", |world| {
        run(world, Trouble::ReadOnly)
    }),
    Kind::new("control socket removed", no_socket),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Full,
    ReadOnly,
}

impl Trouble {
    fn befall(self, directory: &Path) -> Result<()> {
        match self {
            Self::Full => Storage::fill(directory),
            Self::ReadOnly => Storage::set_read_only(directory, true),
        }
    }
}

/// Changes go on, but for those on trial, which could not be left after a reboot; what is
/// in force is written down when there is room again.
fn unwritable(world: &mut World, trouble: Trouble) -> Result<()> {
    let state = world.storage.state.clone();
    trouble.befall(&state)?;
    world.write_plan()?;
    if world.dice.chance(50) {
        world.reload(&["--confirm", "30s"], Expect::Refused(4))?;
    }
    world.reload(&[], Expect::Reference)?;
    let status = world.fw_ctl.status()?;
    world.require(status.is_degraded(), || {
        format!("{trouble:?}: status says that all is well")
    });
    if world.dice.chance(50) {
        world.kill()?;
        world.start()?;
    }
    world.storage.mend()
}

fn emptied(world: &mut World) -> Result<()> {
    let state = world.storage.state.clone();
    let entries = journal::entries(&state);
    world
        .damaged
        .extend(entries.into_iter().map(|entry| entry.name));
    for entry in fs::read_dir(&state).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
        let _ = fs::remove_dir_all(entry.path());
    }
    if world.dice.chance(50) {
        world.kill()?;
        world.start()?;
    }
    Ok(())
}

/// The daemon that runs goes on; one that starts may not come to serve, which leaves what
/// is in force.
fn run(world: &mut World, trouble: Trouble) -> Result<()> {
    let directory = world.storage.run.clone();
    trouble.befall(&directory)?;
    world.write_plan()?;
    world.reload(&[], Expect::Reference)?;
    if world.dice.chance(50) {
        world.kill()?;
        world.spawn()?;
        sleep(Duration::from_millis(1_500));
        if let Some(daemon) = world.give_daemon() {
            daemon.kill()?;
        }
        world.nobody_changes();
        sleep(Duration::from_millis(200));
    }
    world.storage.mend()
}

/// Nobody can ask the daemon any more; one that takes its place can be asked.
fn no_socket(world: &mut World) -> Result<()> {
    let socket = world.storage.run.join("control.sock");
    let _ = fs::remove_file(socket);
    let answer = world.fw_ctl.ask(&["status"])?;
    world.require(answer.code == 5, || {
        format!("without a socket status exits with {}", answer.code)
    });
    world.kill()?;
    world.write_plan().map(drop)
}
