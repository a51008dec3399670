//! Frames that nobody meant well: random and mutated ones, in sequences, on the model,
//! XDP and TC. No verdict, event or counter may differ, and where everything is denied
//! nothing for the node may pass but by a built-in (`oracle`).
//!
//! `make test` shows a bounded number of them; `make test-frames` ten million, or
//! `FW_FRAMES`. `FW_FRAMES_SEED` chooses others. What fails is made small and printed
//! as hex, with the seed of its sequence: `FW_FRAMES_SEQUENCE` shows that one again.

#[path = "../../common/dice.rs"]
mod dice;
mod lane;
mod mutate;
mod oracle;
mod sensible;
mod sequence;
mod shrink;
mod table;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fw_common::wire::{Builtin, VerdictWord};
use fw_ctl::compile::plan::{Mode, Plan};
use nix::sched::{CloneFlags, unshare};

use crate::plan;
use crate::targets::{self, Model, Target};
use dice::Dice;
use lane::{Care, Lane};
use table::Table;

/// Frames in `make test`, and how long it takes at most.
const USUAL: u64 = 200_000;
const USUAL_TIME: Duration = Duration::from_secs(20);
const SEED: u64 = 0x6677_2d63_746c;
/// Sequences between two plans.
const AT_ONCE: u64 = 8;
/// Failures that are made small; of more only the number is told.
const TOLD: usize = 3;
/// One of so many frames that go out is forwarded.
const FORWARDED: usize = 16;

/// By what the frames are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Judge {
    /// The plan of the table.
    Enforce,
    /// The same in audit mode.
    Audit,
    /// Everything is denied.
    Deny,
    /// That too, and there are no built-ins.
    DenyAll,
}

const JUDGES: [Judge; 4] = [Judge::Enforce, Judge::Deny, Judge::Audit, Judge::DenyAll];

impl Judge {
    fn denies(self) -> bool {
        matches!(self, Self::Deny | Self::DenyAll)
    }

    fn plan(self) -> Plan {
        let mut plan = plan::plan(match self {
            Self::Audit => Mode::Audit,
            _ => Mode::Enforce,
        });
        // No limit depends on how fast the frames come.
        let slow = plan.rules[usize::from(plan::TWO_AN_HOUR)].rate;
        plan.rules[usize::from(plan::TWO_AND_ONE_A_SECOND)].rate = slow;
        if self.denies() {
            let words = [plan::DENY_IN, plan::DENY_OUT].map(VerdictWord::default_deny);
            for (direction, word) in plan.directions.iter_mut().zip(words) {
                direction.cells.fill(word);
            }
        }
        match self {
            Self::DenyAll => plan.builtins = 0,
            // Nothing else would be told for its sake.
            Self::Audit => plan.builtins &= !Builtin::Arp.bit(),
            Self::Enforce | Self::Deny => {}
        }
        plan
    }

    /// What is forwarded is remembered, and its replies pass, whatever the plan.
    fn forwarded(self) -> usize {
        if self.denies() { 0 } else { FORWARDED }
    }
}

/// How many frames, from which seed, until when.
struct Order {
    frames: u64,
    seed: u64,
    deadline: Option<Instant>,
    threads: usize,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.replace('_', "").parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn random_and_mutated_frames() {
    let seed = number("FW_FRAMES_SEED").unwrap_or(SEED);
    if let Some(sequence) = number("FW_FRAMES_SEQUENCE") {
        let mut table = Table::default();
        for lane in &mut lanes() {
            for judge in JUDGES {
                lane.begin(&judge.plan(), &plan::local(), judge.denies());
                show(lane, judge, sequence, &mut table);
            }
        }
        table.assert_clean();
        return;
    }
    let order = match number("FW_FRAMES") {
        Some(frames) => Order {
            frames,
            seed,
            deadline: None,
            threads: std::thread::available_parallelism().map_or(1, Into::into),
        },
        None => Order {
            frames: USUAL,
            seed,
            deadline: Some(Instant::now() + USUAL_TIME),
            threads: 1,
        },
    };
    let begun = Instant::now();
    let table = carry_out(&order);
    println!("{}", table.rows(begun.elapsed(), seed));
    table.assert_clean();
    table.assert_thorough();
}

/// The lane of Ethernet, and that without.
fn lanes() -> [Lane; 2] {
    [targets::all(), targets::headerless()].map(Lane::new)
}

fn carry_out(order: &Order) -> Table {
    let sequences = order.frames.div_ceil(sequence::LENGTH as u64);
    let next = AtomicU64::new(0);
    let work = || {
        // A namespace without servers, since a packet of a server is another thing to TC.
        // Without root there is no TC either.
        let _ = unshare(CloneFlags::CLONE_NEWNET);
        let mut lanes = lanes();
        let mut table = Table::default();
        loop {
            let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
            let is_late = order.deadline.is_some_and(|at| Instant::now() > at);
            if from >= sequences || is_late {
                return table;
            }
            let round = from / AT_ONCE;
            let judge = JUDGES[round as usize % JUDGES.len()];
            // One in eight without an Ethernet header.
            let lane = &mut lanes[usize::from(round % 32 >= 28)];
            lane.begin(&judge.plan(), &plan::local(), judge.denies());
            for number in from..(from + AT_ONCE).min(sequences) {
                let seed = Dice::new(order.seed ^ number << 20).next();
                show(lane, judge, seed, &mut table);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..order.threads).map(|_| scope.spawn(work)).collect();
        let tables = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        tables.fold(Table::default(), Table::and)
    })
}

/// Shows the frames of a seed, and of those that fail the least that still do.
fn show(lane: &mut Lane, judge: Judge, seed: u64, table: &mut Table) {
    let frames = sequence::frames(seed);
    match lane.show(&frames, judge.forwarded(), Care::Hurried) {
        Ok(seen) => table.add(judge, frames.len(), &seen),
        Err(first) if table.failures.len() < TOLD => {
            let told = complaint(lane, judge, seed, frames, &first.to_string());
            table.failures.push(told);
        }
        Err(_) => table.untold += 1,
    }
}

fn complaint(
    lane: &mut Lane,
    judge: Judge,
    seed: u64,
    frames: Vec<Vec<u8>>,
    first: &str,
) -> String {
    let forwarded = judge.forwarded();
    let fails = |frames: &[Vec<u8>]| lane.show(frames, forwarded, Care::Thorough).is_err();
    let small = shrink::shrink(frames, 4_000, fails);
    let told = match lane.show(&small, forwarded, Care::Thorough) {
        Err(difference) => difference.to_string(),
        Ok(_) => format!("only in a hurry: {first}"),
    };
    let hex =
        |frame: &Vec<u8>| -> String { frame.iter().map(|byte| format!("{byte:02x}")).collect() };
    let lines: Vec<_> = small.iter().map(hex).collect();
    format!(
        "{judge:?}: {told}\nagain: FW_FRAMES_SEQUENCE={seed:#x}\n{}",
        lines.join("\n")
    )
}

/// The runner finds what differs: two models, of which one has another plan.
#[test]
fn a_difference_is_found_and_made_small() {
    let models: Vec<Box<dyn Target>> = vec![Box::new(Model::default()), Box::new(Model::default())];
    let mut lane = Lane::new(models);
    let plan = Judge::Enforce.plan();
    lane.begin(&plan, &plan::local(), false);
    let mut other = plan.clone();
    // TCP 80 is what everything else is.
    other.directions[0].ports[0][80] = 0;
    lane.targets[1].reload(&other);
    let failed = (0..200).find_map(|seed| {
        let mut table = Table::default();
        show(&mut lane, Judge::Enforce, seed, &mut table);
        table.failures.pop()
    });
    let told = failed.expect("a frame to port 80 is among them");
    let (_, frames) = told
        .split_once('\n')
        .expect("what differs, then how to see it again");
    let frames: Vec<_> = frames
        .lines()
        .skip_while(|line| !line.starts_with("again"))
        .collect();
    assert_eq!(frames.len(), 2, "one frame is enough: {told}");
    assert!(
        frames[1].len() <= 2 * 100 && frames[1].contains("0050"),
        "{told}"
    );
}

/// What passes for nobody's reason is found: a plan that lets one port in.
#[test]
fn what_should_not_pass_is_found() {
    let mut lane = Lane::new(vec![Box::new(Model::default())]);
    let mut plan = Judge::Deny.plan();
    plan.directions[0] = Judge::Enforce.plan().directions[0].clone();
    lane.begin(&plan, &plan::local(), true);
    let mut table = Table::default();
    show(&mut lane, Judge::Deny, 1, &mut table);
    let told = table
        .failures
        .pop()
        .expect("a frame to an open port is among them");
    assert!(told.contains("allowed by nobody"), "{told}");
}
