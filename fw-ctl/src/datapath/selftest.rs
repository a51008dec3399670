//! Whether the programs judge by a plan as the plan says, before it judges real packets.
//!
//! A second instance of the programs reads the very tables of the plan that those on the
//! interfaces read. What says which generation is in force, and what packets leave
//! behind, is its own: so it can judge by the generation that is about to come, and
//! nothing on the node moves. A sample of packets is run through it by the kernel
//! (`BPF_PROG_TEST_RUN`); what it does must be what the plan says.
//!
//! The kernel's verifier takes as long for it as for the programs that filter. So it is
//! loaded beside, after the first plan is in force, which is tried then.

mod ask;
mod said;
mod samples;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use aya::maps::{Array, MapData};
use fw_common::wire::{ActiveWord, Event, Generation, GenerationFlags, RateBucket};

use super::error::DatapathError;
use super::events::EventReader;
use super::flows::{Buckets, CONNTRACK};
use super::limits::{RATE_LIMITS, RATES};
use super::local::Local;
use super::peer_store::{PEER_ROOTS, PEERS};
use super::pins::{self, Pins, failed};
use super::programs::Programs;
use super::tables::{open_array, open_data, writing};
use super::testrun::{Hook, execute};
use super::told::{TOLD, Told};
use crate::compile::plan::{Plan, PlanRule};
pub use ask::Answer;
pub use said::Said;
use said::{differs, hooks};
use samples::{NODE, Sample};

/// Packets for a plan that is installed: some milliseconds.
const WHOLE: usize = 512;
/// Packets where only a bit or a few addresses have changed.
const BRIEF: usize = 48;

/// How often it is tried to load the instance.
const ATTEMPTS: u32 = 3;

/// Instances that were begun to be loaded.
static LOADED: AtomicU32 = AtomicU32::new(0);

/// Tables of the plan, which both instances read.
const SHARED: [&str; 9] = [
    PEER_ROOTS,
    PEERS,
    "SINGLES",
    "SINGLE_FILTER",
    "VLANS",
    "PORTS",
    "NUMBERS",
    "MATRIX",
    RATE_LIMITS,
];

/// Those of its own, as small as may be: what has no room in them is not remembered.
const SIZES: [(&str, u32); 9] = [
    (CONNTRACK, 1),
    (RATES, 1),
    (TOLD, 1),
    ("OWN_PORTS", 1),
    ("FRAGMENTS", 64),
    ("RULES", 1),
    ("BANS", 1),
    ("BAN_FILTER", 1),
    ("EVENTS", 65_536),
];

/// What a test found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// Number of the generation.
    pub number: u64,
    /// Packets that were judged.
    pub packets: usize,
    /// How long it took.
    pub took: Duration,
    /// When.
    pub at: SystemTime,
    /// What differs, or why it could not be found out.
    pub failed: Option<String>,
}

/// A generation to be tested.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    /// As packets would see it.
    pub word: ActiveWord,
    /// Its header.
    pub header: Generation,
}

/// The second instance.
struct Instance {
    programs: Programs,
    active: Array<MapData, ActiveWord>,
    generations: Array<MapData, Generation>,
    rates: Array<MapData, RateBucket>,
    connections: Buckets,
    told: Told,
    local: Local,
    events: EventReader,
}

enum State {
    Absent,
    Loading(
        Subject,
        JoinHandle<Result<(Instance, Tested), DatapathError>>,
    ),
    Ready(Box<Instance>),
    /// It cannot be had; why is in what was found last.
    Failed,
}

/// Tests plans, once its instance is there.
pub(super) struct SelfTest {
    state: State,
    last: Option<Tested>,
    /// Of the plan that was tested last, for when only its mode changes.
    samples: Vec<Sample>,
    /// How often the instance could not be loaded.
    failures: u32,
}

impl SelfTest {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Absent,
            last: None,
            samples: Vec::new(),
            failures: 0,
        }
    }

    /// What was found last.
    pub(super) const fn last(&self) -> Option<&Tested> {
        self.last.as_ref()
    }

    /// Begins to load the instance beside, if that was not begun, to test the plan in
    /// force; else tests it now, unless that was done.
    pub(super) fn test_in_force(&mut self, pins: &Pins, plan: &Plan, subject: Subject) {
        self.collect(|index| (index == subject.word.index()).then_some(subject.header));
        let done = self.last.as_ref().map(|last| last.number) == Some(subject.header.number);
        match self.state {
            State::Absent => self.load(pins, plan, subject),
            State::Ready(_) if !done => {
                let samples = samples::choose(plan, WHOLE);
                // What it found is kept; the plan is in force already.
                let _ = self.test(samples, &plan.rules, subject);
            }
            _ => {}
        }
    }

    /// Tests a plan that is to come.
    ///
    /// # Errors
    /// The programs do not judge by it. That it cannot be found out is no error.
    pub(super) fn test_whole(
        &mut self,
        plan: &Plan,
        subject: Subject,
    ) -> Result<(), DatapathError> {
        match self.is_ready() {
            true => self.test(samples::choose(plan, WHOLE), &plan.rules, subject),
            false => Ok(()),
        }
    }

    /// Tests a plan of which only the classes of these addresses have changed.
    ///
    /// # Errors
    /// As [`Self::test_whole`].
    pub(super) fn test_peers(
        &mut self,
        plan: &Plan,
        peers: impl Iterator<Item = IpAddr>,
        subject: Subject,
    ) -> Result<(), DatapathError> {
        if !self.is_ready() {
            return Ok(());
        }
        let mut samples = samples::about(plan, peers, BRIEF);
        if samples.is_empty() {
            samples = samples::choose(plan, BRIEF);
        }
        self.test(samples, &plan.rules, subject)
    }

    /// Tests the plan that was tested last in another mode.
    pub(super) fn test_mode(&mut self, subject: Subject) {
        let same = self.last.as_ref().map(|last| last.number) == Some(subject.header.number);
        if same && self.is_ready() {
            let step = self.samples.len().div_ceil(BRIEF).max(1);
            let brief = self.samples.iter().step_by(step).cloned().collect();
            let whole = std::mem::take(&mut self.samples);
            // Kept in what was found last: the mode has changed already.
            let _ = self.test(brief, &[], subject);
            self.samples = whole;
        }
    }

    fn is_ready(&mut self) -> bool {
        // What is loading now was to be tested with a plan that stays in force meanwhile.
        self.collect(|_| None);
        matches!(self.state, State::Ready(_))
    }

    fn test(
        &mut self,
        samples: Vec<Sample>,
        rules: &[PlanRule],
        subject: Subject,
    ) -> Result<(), DatapathError> {
        let State::Ready(instance) = &mut self.state else {
            return Ok(());
        };
        let (tested, result) = instance.test(&samples, rules, subject);
        self.last = Some(tested);
        self.samples = samples;
        result
    }

    fn load(&mut self, pins: &Pins, plan: &Plan, subject: Subject) {
        let samples = samples::choose(plan, WHOLE);
        let rules = plan.rules.clone();
        // A datapath that was closed may be loading one still.
        let number = LOADED.fetch_add(1, Ordering::Relaxed);
        let name = format!("self-test-{}-{number}", std::process::id());
        let (maps, own) = (pins.maps(), pins.unpublished(&name));
        self.samples.clone_from(&samples);
        let load = move || {
            step_back();
            let mut instance = Instance::load(&maps, &own)?;
            let (tested, _) = instance.test(&samples, &rules, subject);
            Ok((instance, tested))
        };
        self.state = State::Loading(subject, thread::spawn(load));
    }

    /// Takes the instance, once it is loaded, and what it found, if `header` says that the
    /// generation is still the one that was tested.
    fn collect(&mut self, header: impl Fn(u32) -> Option<Generation>) {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Loading(subject, thread) if thread.is_finished() => {
                let loaded = thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                match loaded {
                    Ok((instance, tested)) => {
                        self.state = State::Ready(Box::new(instance));
                        if header(subject.word.index()) == Some(subject.header) {
                            self.last = Some(tested);
                        }
                    }
                    Err(error) => {
                        self.failures += 1;
                        if self.failures < ATTEMPTS {
                            // Somebody may have removed its pins meanwhile.
                            self.state = State::Absent;
                        } else {
                            self.last = Some(untested(subject.header.number, &error));
                        }
                    }
                }
            }
            state => self.state = state,
        }
    }
}

impl Instance {
    /// Loads it: its tables are pinned in `own` for as long as that takes.
    fn load(maps: &std::path::Path, own: &PathBuf) -> Result<Self, DatapathError> {
        let load = || {
            std::fs::create_dir_all(own).map_err(failed("making", own))?;
            for name in SHARED {
                let map = open_data(maps, name)?;
                map.pin(own.join(name)).map_err(|error| {
                    DatapathError::aya(format!("sharing the table {name}"), &error)
                })?;
            }
            let programs = Programs::load(own, &SIZES)?;
            let mut local = Local::open(own)?;
            local.set(&NODE.into_iter().collect(), |_| Ok(()))?;
            Ok(Self {
                programs,
                active: open_array(own, "ACTIVE", 1)?,
                generations: open_array(own, "GENERATION", fw_common::wire::GENERATIONS)?,
                rates: open_array(own, RATES, 1)?,
                connections: Buckets::open(own)?,
                told: Told::open(own)?,
                local,
                events: EventReader::open(own)?,
            })
        };
        let loaded = load();
        let removed = pins::remove_tree(own);
        let instance = loaded?;
        removed?;
        Ok(instance)
    }

    /// Judges the samples; what came of it, and an error only if the programs judge
    /// otherwise.
    fn test(
        &mut self,
        samples: &[Sample],
        rules: &[PlanRule],
        subject: Subject,
    ) -> (Tested, Result<(), DatapathError>) {
        let begun = Instant::now();
        let mut tested = Tested {
            number: subject.header.number,
            packets: 0,
            took: Duration::ZERO,
            at: SystemTime::now(),
            failed: None,
        };
        let outcome = self.run(samples, rules, subject, &mut tested.packets);
        tested.took = begun.elapsed();
        let result = match outcome {
            Ok(None) => Ok(()),
            Ok(Some(what)) => {
                tested.failed = Some(what.clone());
                Err(DatapathError::SelfTest { what })
            }
            Err(error) => {
                tested.failed = untested(tested.number, &error).failed;
                Ok(())
            }
        };
        (tested, result)
    }

    /// What differs.
    fn run(
        &mut self,
        samples: &[Sample],
        rules: &[PlanRule],
        subject: Subject,
        packets: &mut usize,
    ) -> Result<Option<String>, DatapathError> {
        let enforces = self.look_at(subject)?;
        for sample in samples {
            let Some(frame) = sample.frame() else {
                continue;
            };
            for hook in hooks(sample.direction) {
                let limited = sample.word.is_limited();
                let said = self.judge(*hook, &frame, limited)?;
                *packets += 1;
                let expected = Said::by_word(sample.word, enforces);
                if said != expected {
                    return Ok(Some(differs(sample, *hook, rules, (expected, said))));
                }
            }
        }
        Ok(None)
    }

    /// Judges by this from now on. Returns whether it enforces.
    fn look_at(&mut self, subject: Subject) -> Result<bool, DatapathError> {
        let header = Generation {
            // Every packet is to be reported.
            event_limit: u32::MAX,
            ..subject.header
        };
        let index = subject.word.index();
        self.generations
            .set(index, header, 0)
            .map_err(writing("GENERATION"))?;
        self.active
            .set(0, subject.word, 0)
            .map_err(writing("ACTIVE"))?;
        Ok(header.flags & GenerationFlags::ENFORCE != 0)
    }

    /// What the program of `hook` makes of a frame that is the first of its connection, and
    /// of its peer, where it is `limited` how many pass.
    fn judge(&mut self, hook: Hook, frame: &[u8], limited: bool) -> Result<Said, DatapathError> {
        self.connections.clear();
        self.told.clear();
        if limited {
            self.rates
                .set(0, RateBucket::default(), 0)
                .map_err(writing(RATES))?;
        }
        while self.next_event()?.is_some() {}
        let verdict = execute(&mut self.programs, hook, frame, 1, false)?.verdict;
        Ok(Said::by_program(verdict, self.next_event()?.as_ref()))
    }

    fn next_event(&mut self) -> Result<Option<Event>, DatapathError> {
        self.events
            .next_event()
            .map_err(|error| DatapathError::io("reading an event", &error))
    }
}

/// Leaves the CPUs to others: what this thread and those that it begins do is not urgent.
fn step_back() {
    const LEAST: libc::c_int = 19;
    // SAFETY: it takes a number, and changes the priority of this thread only (sched(7)).
    unsafe { libc::nice(LEAST) };
}

/// A test that could not be done.
fn untested(number: u64, error: &DatapathError) -> Tested {
    let text = error.to_string();
    let why = text.lines().next().unwrap_or_default();
    Tested {
        number,
        packets: 0,
        took: Duration::ZERO,
        at: SystemTime::now(),
        failed: Some(format!("it cannot be done: {why}")),
    }
}
