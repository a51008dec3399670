//! Reads what rules have decided, in time: before a generation is left, and once in a while.

use std::time::{Duration, Instant};

use super::tallies::{Counted, identities};
use super::{Compiled, Firewall, Kernel, Sources};
use crate::moment;

/// Counters are read after this: as exact is when a rule was hit last.
const AGE: Duration = Duration::from_secs(30);
/// What has changed is written after this. What the kernel holds is lost only with the
/// machine.
const UNSAVED: Duration = Duration::from_mins(5);

/// When that was done.
#[derive(Default)]
pub(super) struct Counting {
    read: Option<Instant>,
    saved: Option<Instant>,
}

fn is_due(last: Option<Instant>, age: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= age)
}

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Adds up what the kernel has counted, of every generation that it holds.
    pub(super) fn count_rules(&mut self) {
        let now = moment::now();
        for (number, rules) in self.tallies.ledger.wanted() {
            match self.kernel.rule_counters_of(number, rules) {
                Ok(Some(tallies)) => {
                    self.tallies.changed |= self.tallies.ledger.take(number, &tallies, now);
                }
                Ok(None) => {}
                Err(failure) => tracing::warn!("{}", failure.line()),
            }
        }
        self.counting.read = Some(Instant::now());
    }

    /// The same for who wants to know, also of a plan that a former daemon has installed.
    pub fn count_now(&mut self) {
        if let Some((in_force, compiled)) = &self.installed
            && self.tallies.ledger.rules(in_force.number).is_none()
        {
            let rules = identities(compiled);
            let ledger = &mut self.tallies.ledger;
            ledger.installed(in_force.number, rules, moment::now());
        }
        self.count_rules();
    }

    /// Adds up, and stores the sums, where it was not done for a while.
    pub(super) fn count_at_times(&mut self) {
        if is_due(self.counting.read, AGE) {
            self.count_rules();
        }
        if is_due(self.counting.saved, UNSAVED) {
            self.save_counted();
        }
    }

    fn save_counted(&mut self) {
        self.tallies.save();
        self.counting.saved = Some(Instant::now());
    }

    /// Generation `from` has become `to`, and goes on counting.
    pub(super) fn count_on(&mut self, from: u64, to: u64) {
        self.tallies.ledger.amended(from, to);
        self.tallies.changed = true;
        // Not at once: addresses may change by the second.
        self.counting.saved = None;
    }

    /// The same at the end.
    pub fn count_at_end(&mut self) {
        self.count_rules();
        self.tallies.save();
    }

    /// Generation `number` was installed, and begins to count.
    pub(super) fn count_anew(&mut self, number: u64, compiled: &Compiled) {
        let rules = identities(compiled);
        let ledger = &mut self.tallies.ledger;
        ledger.installed(number, rules, moment::now());
        self.tallies.changed = true;
        // What the one before it has counted to its end.
        self.count_rules();
        // A daemon that is killed must leave behind whose counters these are.
        self.save_counted();
    }

    /// What each rule of generation `number` has decided, by their numbers.
    pub(super) fn counted(&self, number: u64) -> Option<Vec<Counted>> {
        let ledger = &self.tallies.ledger;
        let rules = ledger.rules(number)?.iter();
        let counted = rules.map(|rule| ledger.of(rule).copied().unwrap_or_default());
        Some(counted.collect())
    }
}
