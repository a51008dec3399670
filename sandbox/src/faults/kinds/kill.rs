//! The daemon is killed, or stopped, at any moment.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use sandbox::{Error, Result};

use super::Kind;
use crate::faults::actions::Expect;
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::new("kill -9 at once after reload", |world| {
        during_reload(world, Duration::from_millis(50))
    }),
    Kind::new("kill -9 within 2 s of reload", |world| {
        during_reload(world, Duration::from_secs(2))
    }),
    Kind::new("kill -9, idle", idle),
    Kind::new("kill -9 while starting", while_starting),
    Kind::new("crash loop of 5", crash_loop),
    Kind::new("SIGTERM within a reload", terminate),
    Kind::new("SIGSTOP, SIGCONT", stop),
];

/// Long enough for packets to show by which plan they are judged without a daemon.
const ALONE: Duration = Duration::from_millis(300);

fn during_reload(world: &mut World, most: Duration) -> Result<()> {
    world.write_plan()?;
    let mut reload = world.begin_reload(&[])?;
    let moment = world.dice.span(Duration::ZERO, most);
    sleep(moment);
    world.kill()?;
    let _ = reload.wait();
    sleep(ALONE);
    Ok(())
}

fn idle(world: &mut World) -> Result<()> {
    world.kill()?;
    sleep(ALONE);
    Ok(())
}

fn while_starting(world: &mut World) -> Result<()> {
    world.kill()?;
    if world.dice.chance(50) {
        world.write_plan()?;
    }
    world.spawn()?;
    let moment = world
        .dice
        .span(Duration::ZERO, Duration::from_millis(1_500));
    sleep(moment);
    world.kill()?;
    sleep(ALONE);
    Ok(())
}

fn crash_loop(world: &mut World) -> Result<()> {
    world.kill()?;
    world.write_plan()?;
    for _ in 0..5 {
        world.spawn()?;
        let moment = world.dice.span(Duration::ZERO, Duration::from_millis(700));
        sleep(moment);
        world.kill()?;
    }
    sleep(ALONE);
    Ok(())
}

fn terminate(world: &mut World) -> Result<()> {
    world.write_plan()?;
    let mut reload = world.begin_reload(&[])?;
    let moment = world.dice.span(Duration::ZERO, Duration::from_millis(300));
    sleep(moment);
    let Some(daemon) = world.give_daemon() else {
        return Err(Error::Unexpected("the daemon does not run".into()));
    };
    kill(daemon.pid(), Signal::SIGTERM).map_err(Error::io("send SIGTERM"))?;
    let status = daemon.wait(Duration::from_secs(20))?;
    world.nobody_changes();
    world.require(status.success(), || {
        format!("SIGTERM ended it with {status}")
    });
    let _ = reload.wait();
    sleep(ALONE);
    Ok(())
}

/// A daemon that hangs for a while, and is asked for something meanwhile.
fn stop(world: &mut World) -> Result<()> {
    let pid = world.daemon()?.pid();
    world.write_plan()?;
    kill(pid, Signal::SIGSTOP).map_err(Error::io("send SIGSTOP"))?;
    let mut reload = world.begin_reload(&[])?;
    let time = world
        .dice
        .span(Duration::from_millis(500), Duration::from_secs(3));
    sleep(time);
    kill(pid, Signal::SIGCONT).map_err(Error::io("send SIGCONT"))?;
    let status = reload.wait().map_err(Error::io("wait for fw-ctl reload"))?;
    world.require(status.success(), || {
        format!("the reload ended with {status}")
    });
    world.reload(&[], Expect::Reference).map(drop)
}
