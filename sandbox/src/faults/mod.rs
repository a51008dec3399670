//! The fault run: everything that may go wrong around a daemon is made to go wrong, while
//! packets and connections go through the node.
//!
//! It goes in rounds. A round is a lab ([`world`]) in which [`stream`] sends thousands of
//! numbered packets a second, of flows that plans allow and deny, and [`connections`] moves
//! data over connections that every plan allows. Into that [`kinds`] of faults are injected,
//! one after the other, by chance but for the seed. Each notes in the [`timeline`] which
//! plans packets may meet; what each plan says, the reference tells ([`oracle`]); [`judge`]
//! holds every single packet against that, and [`journal`] what is left of the journal.

mod actions;
mod connections;
mod dice;
mod files;
mod flows;
mod journal;
mod judge;
mod kinds;
mod ledger;
mod oracle;
mod policies;
mod recovery;
mod report;
mod resent;
mod storage;
mod stream;
mod timeline;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use sandbox::{Error, Result};

use dice::Dice;
use judge::judge;
use kinds::Kind;
use recovery::Aftermath;
use report::{LEGEND, Outcome, Report};
use timeline::Nanos;
use world::{Programs, World};

/// Faults of a round: few enough that an upgrade, which only goes one way, comes often.
const ROUND: usize = 25;
/// Before a packet that has not arrived is taken for lost.
const LATE: Duration = Duration::from_millis(300);
/// Nothing happens for so long before the first fault of a round.
const CALM: Duration = Duration::from_millis(500);

/// What `sandbox faults` is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What is left to chance comes out the same for the same number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many faults are injected
    #[arg(long, value_name = "N", default_value_t = 200)]
    faults: usize,
    /// Only faults of this kind; may be given several times
    #[arg(long, value_name = "KIND")]
    only: Vec<String>,
    /// Print the kinds of faults and end
    #[arg(long)]
    list: bool,
    /// An fw-ctl with another schema, to upgrade to [default: $`FW_CTL_NEXT`, else
    /// target/next-schema/fw-ctl, if it is there]
    #[arg(long, value_name = "FILE")]
    next: Option<PathBuf>,
    /// Where state and log are left if anything is wrong [default: fw-ctl-faults-SEED among the
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Arguments {
    fn next(&self) -> Option<PathBuf> {
        let named = || std::env::var_os("FW_CTL_NEXT").map(PathBuf::from);
        let built = || Some(PathBuf::from("target/next-schema/fw-ctl")).filter(|it| it.is_file());
        self.next.clone().or_else(named).or_else(built)
    }

    fn keep(&self) -> PathBuf {
        let usual = || std::env::temp_dir().join(format!("fw-ctl-faults-{}", self.seed));
        self.keep.clone().unwrap_or_else(usual)
    }
}

/// Injects the faults; whether nothing went wrong but what was made to.
///
/// # Errors
/// When the lab cannot be built.
pub fn run(arguments: &Arguments, fw_ctl: PathBuf) -> Result<bool> {
    if arguments.list {
        kinds::all().for_each(|kind| anstream::println!("{}", kind.name));
        return Ok(true);
    }
    let unknown = |name: &&String| !kinds::all().any(|kind| kind.name == **name);
    if let Some(unknown) = arguments.only.iter().find(unknown) {
        return Err(Error::Unexpected(format!(
            "there is no fault `{unknown}`; try: sandbox faults --list"
        )));
    }
    own_mounts()?;
    let programs = Programs {
        fw_ctl,
        next: arguments.next(),
    };
    if programs.next.is_none() {
        anstream::eprintln!(
            "skipped: upgrades: there is no fw-ctl with another schema (try: \
             scripts/next-schema.sh)"
        );
    }
    let mut run = Run {
        seed: arguments.seed,
        keep: arguments.keep(),
        schedule: schedule(arguments, programs.next.is_some()),
        report: Report::default(),
        log: Vec::new(),
        begun: Instant::now(),
    };
    let whole = run.rounds(&programs)?;
    anstream::println!("{}\n{LEGEND}", run.report.table());
    let good = whole && run.report.is_good();
    if !good {
        let log = run.keep.join("faults.log");
        let _ = fs::create_dir_all(&run.keep);
        let _ = fs::write(&log, run.log.join("\n") + "\n");
        anstream::println!(
            "\nWRONG with --seed {} --faults {}: see {}",
            run.seed,
            arguments.faults,
            run.keep.display()
        );
    }
    Ok(good)
}

/// The faults in their order: every kind as often as the others, in another order each
/// time. An upgrade comes last in its round, as there is no way back.
fn schedule(arguments: &Arguments, upgrades: bool) -> Vec<&'static Kind> {
    let only = &arguments.only;
    let is_wanted = |kind: &&Kind| {
        (only.is_empty() || only.iter().any(|name| name == kind.name))
            && (upgrades || !kind.upgrades)
    };
    let kinds: Vec<_> = kinds::all().filter(is_wanted).collect();
    let mut schedule = Vec::new();
    let mut dice = Dice::of(arguments.seed, usize::MAX);
    while schedule.len() < arguments.faults && !kinds.is_empty() {
        let mut next = kinds.clone();
        dice.shuffle(&mut next);
        schedule.extend(next);
    }
    schedule.truncate(arguments.faults);
    schedule
}

/// A mount namespace of our own: what is mounted here goes with us.
fn own_mounts() -> Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).map_err(Error::io(
        "make a mount namespace (the lab needs to run as root)",
    ))?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(Error::io("make the mounts private"))
}

struct Run {
    seed: u64,
    keep: PathBuf,
    schedule: Vec<&'static Kind>,
    report: Report,
    log: Vec<String>,
    begun: Instant,
}

impl Run {
    /// Whether all faults could be injected.
    fn rounds(&mut self, programs: &Programs) -> Result<bool> {
        let mut whole = true;
        let schedule = std::mem::take(&mut self.schedule);
        for (round, kinds) in schedule.chunks(ROUND).enumerate() {
            let xdp = ["native", "off"][round % 2];
            // There is no way back from an upgrade within a round.
            let (mut last, mut kinds): (Vec<_>, Vec<_>) = kinds
                .iter()
                .copied()
                .enumerate()
                .partition(|(_, kind)| kind.upgrades);
            kinds.append(&mut last);
            let mut world = None;
            for (place, kind) in kinds {
                let number = round * ROUND + place;
                if world.is_none() {
                    let dice = Dice::of(self.seed, usize::MAX - 1 - number);
                    world = Some(World::new(programs, xdp, dice)?);
                    sleep(CALM);
                }
                if let Some(of_round) = &mut world
                    && let Err(error) = self.fault(of_round, number, kind)
                {
                    whole = false;
                    self.say(format!("WRONG #{number} {}: {error}", kind.name));
                    self.keep(of_round, number);
                    // What comes next needs a node that is as it should be.
                    world = None;
                }
            }
        }
        Ok(whole)
    }

    fn fault(&mut self, world: &mut World, number: usize, kind: &'static Kind) -> Result<()> {
        world.dice = Dice::of(self.seed, number);
        world.look_at_journal();
        let begin = self.begun.elapsed();
        (kind.inject)(world)?;
        let aftermath = world.recover()?;
        sleep(LATE);
        world.stream.drain();
        let outcome = self.judge(world, &aftermath);
        let verdict = if outcome.is_good() { "ok" } else { "WRONG" };
        self.say(format!(
            "{verdict} #{number} {:.3} s, {}, {}: {} packets, {} wrongly passed, {} wrongly \
             dropped, {} connections cut, stall {} ms, {} of {} segments \
             sent again needlessly, as declared after {} ms",
            begin.as_secs_f64(),
            world.xdp,
            kind.name,
            outcome.tally.packets,
            outcome.tally.wrongly_passed,
            outcome.tally.wrongly_dropped,
            outcome.cut,
            outcome.longest.as_millis(),
            outcome.resent.needless,
            outcome.resent.all,
            outcome.recovery.as_millis(),
        ));
        for complaint in &aftermath.complaints {
            self.say(format!("  {complaint}"));
        }
        for (packet, plans) in &outcome.tally.told {
            let flow = world.flows[usize::from(packet.flow)].name(&world.lab);
            let what = if packet.got.is_some() {
                "passed"
            } else {
                "was lost"
            };
            let since = |moment: Nanos| (aftermath.end.saturating_sub(moment)) / 1_000;
            self.say(format!(
                "  {flow} {what}, by plans {plans:?}; sent {} us before the end, in {} us",
                since(packet.sent),
                (packet.taken - packet.sent) / 1_000,
            ));
        }
        if !outcome.is_good() {
            self.keep(world, number);
        }
        self.report.add(kind.name, outcome);
        Ok(())
    }

    fn judge(&mut self, world: &mut World, aftermath: &Aftermath) -> Outcome {
        let packets = world.stream.take(aftermath.end);
        let allows = |plan, flow| world.oracle.allows(plan, flow);
        let tally = judge(&packets, &world.timeline, allows);
        let state = world.connections.take();
        for cut in &state.cut {
            self.say(format!("  cut: {cut}"));
        }
        let (longest, who) = state.longest;
        if longest > Duration::from_secs(1) {
            self.say(format!("  {who} waited for {} ms", longest.as_millis()));
        }
        let late = world.stream.irregular();
        if late > 0 {
            self.say(format!("  {late} packets came late or twice"));
        }
        Outcome {
            tally,
            cut: state.cut.len(),
            longest,
            resent: world.resent(),
            recovery: aftermath.recovery,
            complaints: aftermath.complaints.len() + usize::from(late > 0),
        }
    }

    fn say(&mut self, line: String) {
        anstream::eprintln!("{line}");
        self.log.push(line);
    }

    /// Keeps what tells of a fault.
    fn keep(&self, world: &World, number: usize) {
        let to = self.keep.join(number.to_string());
        let _ = fs::create_dir_all(&to);
        let files = world.fw_ctl.files();
        let copy = |from: &Path| {
            // It is for a person to look at; what cannot be copied is not there.
            let _ = Command::new("cp").arg("-a").arg(from).arg(&to).output();
        };
        for from in [
            &files.log,
            &files.config,
            &files.policies,
            &files.inventory,
            &files.state,
        ] {
            copy(from);
        }
    }
}
