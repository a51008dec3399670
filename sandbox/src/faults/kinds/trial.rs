//! Changes on trial, and the way back: with the daemon dead, too.

use std::thread::sleep;
use std::time::Duration;

use sandbox::Result;

use super::Kind;
use crate::faults::actions::Expect;
use crate::faults::timeline::{Nanos, PlanId};
use crate::faults::world::World;

pub const KINDS: &[Kind] = &[
    Kind::new("trial, not confirmed", |world| left(world, Daemon::Lives)),
    Kind::new("trial, kill -9", |world| left(world, Daemon::IsKilled)),
    Kind::new("trial, kill -9 and restart", |world| {
        left(world, Daemon::IsRestarted)
    }),
    Kind::new("trial, confirmed", confirmed),
    Kind::new("trial, confirm and kill -9", confirmed_and_killed),
    Kind::new("trial, rollback", rolled_back),
    Kind::new("rollback", rollback),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Daemon {
    Lives,
    IsKilled,
    IsRestarted,
}

/// How long a trial takes.
const TRIAL: Duration = Duration::from_secs(2);
/// What the kernel may be late by: its coarse clock, and a busy machine.
const LATE: Duration = Duration::from_millis(100);

/// A trial: the plan before, the one on trial, the earliest and latest moment of its end.
struct Trial {
    old: Vec<PlanId>,
    new: PlanId,
    earliest: Nanos,
    latest: Nanos,
}

impl Trial {
    /// From its end on, or from now on if that is earlier, the plan before may be in force.
    /// To be told after everything that takes time.
    fn may_end(&self, world: &mut World) {
        world.in_doubt_since(self.earliest, self.old.first().copied());
    }

    fn is_over(&self, world: &World) -> bool {
        world.clock.now() >= self.earliest
    }

    /// Waits until it certainly is.
    fn await_end(&self, world: &World) {
        sleep(Duration::from_nanos(
            self.latest.saturating_sub(world.clock.now()),
        ));
    }
}

fn begin(world: &mut World) -> Result<Trial> {
    let old = world.possible();
    let new = world.write_plan()?;
    let earliest = world.clock.now() + TRIAL.as_nanos() as Nanos;
    let span = format!("{}s", TRIAL.as_secs());
    world.reload(&["--confirm", &span], Expect::Reference)?;
    Ok(Trial {
        old,
        new,
        earliest,
        latest: world.clock.now() + (TRIAL + LATE).as_nanos() as Nanos,
    })
}

/// Nobody confirms: packets meet the old plan again, whoever is there to see it. Files that
/// cut somebody off do not come in force by a restart.
fn left(world: &mut World, daemon: Daemon) -> Result<()> {
    let trial = begin(world)?;
    if daemon != Daemon::Lives {
        let moment = world.dice.span(Duration::ZERO, TRIAL / 2);
        sleep(moment);
        world.kill()?;
    }
    if daemon == Daemon::IsRestarted && world.dice.chance(50) {
        restart_within(world, &trial)?;
    }
    sleep(Duration::from_nanos(
        trial.earliest.saturating_sub(world.clock.now()),
    ));
    trial.may_end(world);
    trial.await_end(world);
    world.settle_any(trial.old.clone());
    sleep(Duration::from_millis(300));
    if daemon == Daemon::IsRestarted && world.daemon().is_err() {
        restart(world, trial.old)?;
    }
    Ok(())
}

/// A daemon that starts keeps to `plans`.
fn restart(world: &mut World, plans: Vec<PlanId>) -> Result<()> {
    world.start_beside_files()?;
    world.settle_any(plans);
    Ok(())
}

/// In the middle of the trial; when it takes long, the trial may be over by then.
fn restart_within(world: &mut World, trial: &Trial) -> Result<()> {
    world.start_beside_files()?;
    trial.may_end(world);
    if !trial.is_over(world) {
        world.settle(trial.new);
    }
    Ok(())
}

fn confirmed(world: &mut World) -> Result<()> {
    let trial = begin(world)?;
    if world.dice.chance(40) {
        world.kill()?;
        restart_within(world, &trial)?;
    }
    confirm(world, &trial)?;
    trial.await_end(world);
    Ok(())
}

/// What has been confirmed stays, or if that came too late, what was before.
fn confirm(world: &mut World, trial: &Trial) -> Result<()> {
    trial.may_end(world);
    let answer = world.fw_ctl.ask(&["confirm"])?;
    trial.may_end(world);
    match answer.code {
        0 => world.settle(trial.new),
        6 if trial.is_over(world) => world.settle_any(trial.old.clone()),
        code => world.complain(format!("confirm exits with {code}: {}", answer.stderr)),
    }
    Ok(())
}

fn confirmed_and_killed(world: &mut World) -> Result<()> {
    let trial = begin(world)?;
    confirm(world, &trial)?;
    world.kill()?;
    trial.await_end(world);
    Ok(())
}

fn rolled_back(world: &mut World) -> Result<()> {
    let trial = begin(world)?;
    trial.may_end(world);
    world.in_doubt(trial.old.first().copied());
    let answer = world.fw_ctl.ask(&["rollback"])?;
    world.require(answer.code == 0, || {
        format!("rollback exits with {}: {}", answer.code, answer.stderr)
    });
    world.settle_any(trial.old.clone());
    if world.dice.chance(50) {
        world.kill()?;
        restart(world, trial.old)?;
    }
    Ok(())
}

/// To the plan before; also a restart does not bring the files in force again.
fn rollback(world: &mut World) -> Result<()> {
    let old = world.possible();
    world.write_plan()?;
    world.reload(&[], Expect::Reference)?;
    world.in_doubt(old.first().copied());
    let answer = world.fw_ctl.ask(&["rollback", "--force"])?;
    world.require(answer.code == 0, || {
        format!("rollback exits with {}: {}", answer.code, answer.stderr)
    });
    world.settle_any(old.clone());
    sleep(Duration::from_millis(200));
    if world.dice.chance(50) {
        world.kill()?;
        restart(world, old)?;
    }
    Ok(())
}
