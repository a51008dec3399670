//! What the operator has written is wrong, half-written or gone.

use std::fs;
use std::path::Path;

use sandbox::{Error, Result};

use super::Kind;
use crate::faults::actions::Expect;
use crate::faults::files::write_whole;
use crate::faults::policies;
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::new("policy half-written", |world| {
        world.write_plan()?;
        half(world, true)
    }),
    Kind::new("policy wrong", wrong),
    Kind::new("policies removed", |world| removed(world, true)),
    Kind::new("policy directory removed", |world| removed(world, false)),
    Kind::new("inventory half-written", |world| half(world, false)),
    Kind::new("inventory shrinks to nothing", shrinks),
    Kind::new("inventory gone", gone),
    Kind::new("configuration broken", configuration),
];

/// What the files say is asked for, and perhaps a new daemon finds them.
fn try_it(world: &mut World) -> Result<()> {
    world.reload(&[], Expect::Reference)?;
    if world.dice.chance(50) {
        world.kill()?;
        world.start()?;
    }
    Ok(())
}

/// An editor was killed, or copies slowly: the reference says whether that is a policy.
fn half(world: &mut World, policy: bool) -> Result<()> {
    let path = match policy {
        true => world.varying_file(),
        false => world.inventory_file(),
    };
    let text = fs::read(&path).map_err(Error::io("read a file of the lab"))?;
    let length = world.dice.below(text.len());
    fs::write(&path, &text[..length]).map_err(Error::io("write a file of the lab"))?;
    try_it(world)
}

fn wrong(world: &mut World) -> Result<()> {
    let (_, body) = *world.dice.pick(&policies::WRONG);
    // A good change beside it must not come through, either.
    world.write_plan()?;
    let path = world.fw_ctl.files().policies.join("wrong.yaml");
    write_whole(&path, &policies::wrong(body))?;
    try_it(world)
}

/// Without policies everything is allowed, as everywhere; a directory that is gone is a
/// mistake.
fn removed(world: &mut World, files_only: bool) -> Result<()> {
    let directory = world.fw_ctl.files().policies.clone();
    if files_only {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    } else {
        remove(&directory)?;
    }
    try_it(world)
}

fn shrinks(world: &mut World) -> Result<()> {
    write_whole(&world.inventory_file(), "")?;
    try_it(world)
}

fn gone(world: &mut World) -> Result<()> {
    let directory = world.fw_ctl.files().inventory.clone();
    remove(&directory)?;
    try_it(world)
}

fn configuration(world: &mut World) -> Result<()> {
    let path = world.fw_ctl.files().config.clone();
    let text = fs::read_to_string(&path).map_err(Error::io("read the configuration"))?;
    let broken = match world.dice.below(3) {
        0 => text[..world.dice.below(text.len() / 2) + 8].to_owned() + "= \"",
        1 => text.replace("[policy]", "[polcy]"),
        _ => text.replace("enforce", "always"),
    };
    write_whole(&path, &broken)?;
    // It is wrong whatever the policies are, also for who starts.
    world.write_plan()?;
    world.reload(&[], Expect::Refused(3))?;
    if world.dice.chance(60) {
        world.kill()?;
        world.start_beside_files()?;
    }
    Ok(())
}

fn remove(directory: &Path) -> Result<()> {
    fs::remove_dir_all(directory).map_err(Error::io(format!("remove {}", directory.display())))
}
