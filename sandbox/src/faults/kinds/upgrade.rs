//! Another version of the daemon takes over, one whose tables are others, under another
//! schema number. There is no way back but by opening the node, so this comes last in a lab.

use std::thread::sleep;
use std::time::Duration;

use sandbox::{Error, Result};

use super::Kind;
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::upgrade("upgrade to another schema", |world| upgrade(world, false)),
    Kind::upgrade("upgrade, kill -9 within it", |world| upgrade(world, true)),
];

/// With policies that have changed, perhaps; and the new daemon may be killed in the
/// middle of it, once or more.
fn upgrade(world: &mut World, killed: bool) -> Result<()> {
    let none = || Error::Unexpected("there is no fw-ctl with another schema".into());
    let next = world.next.clone().ok_or_else(none)?;
    if world.dice.chance(50) {
        world.write_plan()?;
    }
    world.kill()?;
    world.fw_ctl = next;
    let mut enough = false;
    while killed && !enough {
        world.spawn()?;
        let moment = world.dice.span(Duration::ZERO, Duration::from_secs(3));
        sleep(moment);
        world.kill()?;
        sleep(Duration::from_millis(300));
        enough = world.dice.chance(60);
    }
    world.start()
}
