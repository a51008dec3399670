//! The end of a fault: what it has left is made good, and held against what must be.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sandbox::{Error, Result};

use super::actions::Expect;
use super::files;
use super::journal::{self, Entry};
use super::timeline::{Nanos, PlanId};
use super::world::World;

/// How long the daemon may take until everything is as declared.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const ASK: Duration = Duration::from_millis(50);

/// What a fault leaves behind.
#[derive(Debug)]
pub struct Aftermath {
    /// Until when packets were sent that belong to it.
    pub end: Nanos,
    /// From the end of the cause until everything was as declared again.
    pub recovery: Duration,
    /// What was not as it must be.
    pub complaints: Vec<String>,
}

impl World {
    /// From now on nothing of the cause is left: the time of recovery begins.
    pub fn cause_is_over(&mut self) {
        self.over.get_or_insert(self.clock.now());
    }

    /// Notes what is in the journal, for what may go until the end of the fault.
    pub fn look_at_journal(&mut self) {
        let entries = journal::entries(&self.storage.state);
        self.seen.extend(entries);
    }

    /// Makes good what the fault has left, and waits until everything is as declared.
    ///
    /// # Errors
    /// When that does not come to be.
    pub fn recover(&mut self) -> Result<Aftermath> {
        self.storage.mend()?;
        let before = files::read(&self.varying_file()).ok();
        files::mend(&self.lab, &self.fw_ctl, &self.varying, &self.config)?;
        self.cause_is_over();
        if self
            .daemon
            .as_mut()
            .is_some_and(|daemon| !matches!(daemon.ended(), Ok(None)))
        {
            self.daemon = None;
        }
        if self.daemon.is_none() {
            self.start()?;
        }
        let wanted = self.plan_of_files()?;
        let settled = before.as_ref() == Some(&self.varying)
            && Some(&self.in_force) == wanted.map(|plan| vec![plan]).as_ref();
        if !settled || self.fw_ctl.status()?.is_degraded() {
            self.reload(&[], Expect::Reference)?;
        }
        self.await_health()?;
        let end = self.clock.now();
        let lost = self.lost_entries();
        let mut complaints = std::mem::take(&mut self.complaints);
        complaints.extend(lost);
        let over = self.over.take().unwrap_or(end);
        Ok(Aftermath {
            end,
            recovery: Duration::from_nanos(end.saturating_sub(over)),
            complaints,
        })
    }

    /// What the journal has lost since the last time, in a line each.
    fn lost_entries(&mut self) -> Vec<String> {
        let after = journal::entries(&self.storage.state);
        let unnoted = self.unnoted(&after);
        let before: Vec<_> = std::mem::take(&mut self.seen).into_iter().collect();
        let lost = journal::lost(&before, &after, &self.damaged);
        let lost = lost
            .iter()
            .map(|entry| format!("lost from the journal: {}", entry.name));
        let mut lost: Vec<_> = lost.chain(unnoted).collect();
        if let Ok(text) = self.fw_ctl.must(&["journal", "-o", "json"]) {
            lost.extend(self.damaged_entries(&text, &after));
        }
        self.seen.extend(after);
        lost
    }

    /// Generations that have never come into the journal, nor a later one of the same plan:
    /// what was made while nothing could be written is to be noted afterwards.
    fn unnoted(&mut self, after: &[Entry]) -> Vec<String> {
        let noted = self.seen.iter().chain(after).map(|entry| entry.number);
        let noted: BTreeSet<u64> = noted.collect();
        let made = std::mem::take(&mut self.made);
        let is_noted = |(number, plan): &&(u64, PlanId)| {
            let mut later = made.iter().filter(|(of, by)| of >= number && by == plan);
            later.any(|(of, _)| noted.contains(of))
        };
        let unnoted = made.iter().filter(|made| !is_noted(made));
        unnoted
            .map(|(number, _)| format!("never came into the journal: generation {number}"))
            .collect()
    }

    /// Entries that are damaged, though nobody has damaged them.
    fn damaged_entries(&self, told: &str, entries: &[Entry]) -> Vec<String> {
        let told: serde_json::Value = serde_json::from_str(told).unwrap_or_default();
        let told = told["entries"].as_array().cloned().unwrap_or_default();
        let damaged = told.iter().filter(|entry| entry["damage"].is_string());
        let numbers = damaged.filter_map(|entry| entry["generation"].as_u64());
        let excused = |number: u64| {
            let mut of = entries.iter().filter(|entry| entry.number == number);
            of.any(|entry| self.damaged.contains(&entry.name))
        };
        numbers
            .filter(|number| !excused(*number))
            .map(|number| format!("damaged in the journal: generation {number}"))
            .collect()
    }

    /// Waits until nothing is degraded, and holds the three hashes against each other.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn await_health(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.fw_ctl.status()?;
            let generation = &status.generation;
            let declared = &generation["declared"];
            let same = ["compiled", "kernel", "read_back"]
                .iter()
                .all(|of| generation[of] == *declared && declared.is_string());
            if same && !status.is_degraded() && status.mode == "enforce" {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Error::Unexpected(format!(
                    "it is not as declared after {} s: {} {generation}",
                    PATIENCE.as_secs(),
                    status.degraded
                )));
            }
            sleep(ASK);
        }
    }
}
