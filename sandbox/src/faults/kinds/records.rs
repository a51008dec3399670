//! What the daemon has written down is damaged: a disk that lost bytes, a hand that slipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use sandbox::{Error, Result};

use super::Kind;
use crate::faults::actions::Expect;
use crate::faults::dice::Dice;
use crate::faults::files::write_whole;
use crate::faults::journal;
use crate::faults::policies;
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::new("journal entries damaged", entries),
    Kind::new("journal gone or a file", no_journal),
    Kind::new("confirmed.json damaged", |world| {
        record(world, "confirmed.json")
    }),
    Kind::new("held.json damaged", |world| record(world, "held.json")),
    Kind::new("mode.json damaged", mode),
    Kind::new("kept lists damaged", lists),
    Kind::new("all records damaged, policies wrong", everything),
];

/// Does something to a file; says what.
fn damage(path: &Path, dice: &mut Dice) -> Result<&'static str> {
    let failed = || Error::io(format!("damage {}", path.display()));
    let bytes = fs::read(path).unwrap_or_default();
    let (what, done) = match dice.below(6) {
        0 if !bytes.is_empty() => {
            let length = dice.below(bytes.len());
            ("cut short", fs::write(path, &bytes[..length]))
        }
        1 if !bytes.is_empty() => {
            let mut bytes = bytes;
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            ("a bit flipped", fs::write(path, bytes))
        }
        2 => ("emptied", fs::write(path, "")),
        3 => {
            let junk: Vec<u8> = (0..dice.below(4_000)).map(|_| dice.throw() as u8).collect();
            ("junk", fs::write(path, junk))
        }
        4 => {
            let _ = fs::remove_file(path);
            ("a directory", fs::create_dir(path))
        }
        _ => {
            let _ = fs::remove_file(path);
            ("removed", Ok(()))
        }
    };
    done.map(|()| what).map_err(failed())
}

/// A few of them; those that are left are to be there afterwards.
fn entries(world: &mut World) -> Result<()> {
    world.write_plan()?;
    world.reload(&[], Expect::Reference)?;
    let directory = world.storage.state.join("journal");
    let mut entries = journal::entries(&world.storage.state);
    world.dice.shuffle(&mut entries);
    let count = 1 + world.dice.below(3);
    for entry in entries.into_iter().take(count) {
        damage(&directory.join(&entry.name), &mut world.dice)?;
        world.damaged.insert(entry.name);
    }
    restart_perhaps(world)?;
    let answer = world.fw_ctl.ask(&["journal"])?;
    world.require(answer.code == 0, || {
        format!("journal exits with {}: {}", answer.code, answer.stderr)
    });
    Ok(())
}

fn no_journal(world: &mut World) -> Result<()> {
    let directory = world.storage.state.join("journal");
    let entries = journal::entries(&world.storage.state);
    world
        .damaged
        .extend(entries.into_iter().map(|entry| entry.name));
    fs::remove_dir_all(&directory).map_err(Error::io("remove the journal"))?;
    let file = world.dice.chance(50);
    if file {
        fs::write(&directory, "no journal\n").map_err(Error::io("write a file"))?;
    }
    restart_perhaps(world)?;
    if file {
        let _ = fs::remove_file(&directory);
    }
    Ok(())
}

/// A file of the state directory; also among wrong policies, where the daemon has to fall
/// back on what is in force.
fn record(world: &mut World, name: &str) -> Result<()> {
    let path = world.storage.state.join(name);
    damage(&path, &mut world.dice)?;
    if world.dice.chance(40) {
        write_whole(&world.varying_file(), &policies::wrong("  ingres: []\n"))?;
        world.kill()?;
        world.start()?;
    } else {
        restart_perhaps(world)?;
    }
    clear(&path);
    Ok(())
}

/// The copies of lists, which records and entries need: they are made again from the files.
fn lists(world: &mut World) -> Result<()> {
    let directory = world.storage.state.join("lists");
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        damage(&entry.path(), &mut world.dice)?;
        clear(&entry.path());
    }
    restart_perhaps(world)?;
    world.write_plan()?;
    world.reload(&[], Expect::Reference).map(drop)
}

/// A mode that was set by hand holds though it cannot be read again.
fn mode(world: &mut World) -> Result<()> {
    world.fw_ctl.must(&["mode", "enforce", "--force"])?;
    let path = world.storage.state.join("mode.json");
    damage(&path, &mut world.dice)?;
    world.kill()?;
    world.start()?;
    clear(&path);
    world
        .fw_ctl
        .must(&["mode", "configured", "--force"])
        .map(drop)
}

/// Nothing is left but what the kernel holds.
fn everything(world: &mut World) -> Result<()> {
    write_whole(&world.varying_file(), &policies::wrong("  ingress: {}\n"))?;
    let entries = journal::entries(&world.storage.state);
    let journal = world.storage.state.join("journal");
    let mut paths: Vec<PathBuf> = entries
        .iter()
        .map(|entry| journal.join(&entry.name))
        .collect();
    world
        .damaged
        .extend(entries.into_iter().map(|entry| entry.name));
    for name in [
        "confirmed.json",
        "confirmed.json.old",
        "held.json",
        "mode.json",
    ] {
        paths.push(world.storage.state.join(name));
    }
    for path in &paths {
        damage(path, &mut world.dice)?;
    }
    world.kill()?;
    sleep(Duration::from_millis(200));
    world.start()?;
    world.reload(&[], Expect::Reference)?;
    for path in &paths {
        clear(path);
    }
    // What was set is not known any more, which is told until something is set.
    world
        .fw_ctl
        .must(&["mode", "configured", "--force"])
        .map(drop)
}

/// A directory in the place of a file is for the operator to remove.
fn clear(path: &Path) {
    let _ = fs::remove_dir(path);
}

fn restart_perhaps(world: &mut World) -> Result<()> {
    if world.dice.chance(60) {
        world.kill()?;
        world.start()?;
    } else {
        world.write_plan()?;
        world.reload(&[], Expect::Reference)?;
    }
    Ok(())
}
