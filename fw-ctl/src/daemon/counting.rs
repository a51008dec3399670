//! Reads what rules have decided, in time: before a generation is left, and once in a while.

use std::time::{Duration, Instant};

use super::tallies::{Counted, identities};
use super::{Compiled, Firewall, Kernel, Sources};
use crate::moment;

/// Counters are read after this. Who looks comes every 30 seconds, so it must be less: as exact
/// is when a rule was hit last.
const AGE: Duration = Duration::from_secs(25);
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
        for (number, rules) in self.tallies.sums.wanted() {
            match self.kernel.rule_counters_of(number, rules) {
                Ok(Some(tallies)) => self.tallies.take(number, &tallies, now),
                Ok(None) => {}
                Err(failure) => tracing::warn!("{}", failure.line()),
            }
        }
        self.counting.read = Some(Instant::now());
    }

    /// Generation `number` is in force with these rules, maybe since a former daemon.
    pub(super) fn count_known(&mut self, number: u64, compiled: &Compiled) {
        let tallies = &mut self.tallies;
        if tallies.named.knows(number) {
            return;
        }
        if tallies.sums.read(number).is_none() {
            let rules = identities(compiled);
            tallies.sums.installed(number, rules, moment::now());
            tallies.changed = true;
        }
        let counted = tallies.sums.read(number).unwrap_or_default();
        tallies.named.begin(number, &compiled.plan.rules, counted);
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
        self.tallies.sums.amended(from, to);
        self.tallies.named.amended(from, to);
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
        self.tallies.sums.installed(number, rules, moment::now());
        self.tallies.named.begin(number, &compiled.plan.rules, &[]);
        self.tallies.changed = true;
        // What the one before it has counted to its end.
        self.count_rules();
        // A daemon that is killed must leave behind whose counters these are.
        self.save_counted();
    }

    /// What each rule of generation `number` has decided, by their numbers.
    pub(super) fn counted(&self, number: u64) -> Option<Vec<Counted>> {
        let sums = &self.tallies.sums;
        let rules = sums.rules(number)?.iter();
        let counted = rules.map(|rule| sums.of(rule).copied().unwrap_or_default());
        Some(counted.collect())
    }
}
