//! What the run came to, to read and to hold it to.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use fw_common::wire::{Counter, Direction};

use super::Judge;
use super::lane::Seen;
use super::oracle::Business;
use super::sequence::LENGTH;

/// Sums over sequences.
#[derive(Debug, Default)]
pub struct Table {
    frames: BTreeMap<Judge, u64>,
    runs: BTreeMap<(&'static str, &'static str), u64>,
    counted: BTreeMap<(Direction, Counter), u64>,
    business: BTreeMap<(Business, bool), u64>,
    /// Sequences that failed, made small.
    pub failures: Vec<String>,
    /// Those of which only the number is known.
    pub untold: u64,
}

fn add<K: Ord + Copy>(sum: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, count) in more {
        *sum.entry(*key).or_default() += count;
    }
}

impl Table {
    pub fn add(&mut self, judge: Judge, frames: usize, seen: &Seen) {
        *self.frames.entry(judge).or_default() += frames as u64;
        add(&mut self.runs, &seen.runs);
        add(&mut self.counted, &seen.counted);
        add(&mut self.business, &seen.business);
    }

    pub fn and(mut self, other: Self) -> Self {
        add(&mut self.frames, &other.frames);
        add(&mut self.runs, &other.runs);
        add(&mut self.counted, &other.counted);
        add(&mut self.business, &other.business);
        self.failures.extend(other.failures);
        self.untold += other.untold;
        self
    }

    pub fn frames(&self) -> u64 {
        self.frames.values().sum()
    }

    fn counter(&self, wanted: &str) -> u64 {
        let named = self.counted.iter().filter(|of| of.0.1.name() == wanted);
        named.map(|of| of.1).sum()
    }

    /// Nothing failed.
    pub fn assert_clean(&self) {
        let failures = self.failures.join("\n\n");
        assert!(
            self.failures.is_empty(),
            "{failures}\nand {} more",
            self.untold
        );
    }

    /// The run has reached what it is for: with many frames every way that a packet can
    /// end, with few the usual ones.
    pub fn assert_thorough(&self) {
        const MANY: u64 = 150_000;
        const USUAL: [&str; 7] = [
            "allowed",
            "reply",
            "builtin",
            "dropped/default-deny",
            "dropped/invalid-packet",
            "dropped/fragment-without-first",
            "audited/default-deny",
        ];
        let frames = self.frames();
        assert!(
            frames >= 4 * LENGTH as u64,
            "only {frames} frames were shown"
        );
        for counter in Counter::all() {
            let name = counter.name();
            // There always is a plan.
            let wanted = frames >= MANY && counter != Counter::NoPlan;
            if wanted || USUAL.contains(&name.as_str()) {
                let count = self.counter(&name);
                assert!(
                    count > 0,
                    "no frame was counted as {name}: {:?}",
                    self.counted
                );
            }
        }
        let seen = |of| self.business.get(&of).is_some_and(|count| *count > 0);
        assert!(seen((Business::Nodes, false)) && seen((Business::Others, true)));
        let names = self.business.keys().filter(|of| of.1);
        let names: Vec<_> = names.map(|of| of.0).collect();
        // Others, and the seven built-ins of ingress.
        assert!(frames < MANY || names.len() == 8, "only {names:?} passed");
    }

    /// Lines for people.
    pub fn rows(&self, took: Duration, seed: u64) -> String {
        let mut text = format!(
            "{} frames of seed {seed:#x} in {:.1} s\n",
            self.frames(),
            took.as_secs_f64()
        );
        let mut section = |title: &str, rows: Vec<(String, u64)>| {
            let _ = writeln!(text, "\n{title}");
            for (name, count) in rows {
                let _ = writeln!(text, "  {name:<44} {count:>12}");
            }
        };
        let frames = self.frames.iter();
        section(
            "frames by plan",
            frames.map(|(of, n)| (format!("{of:?}"), *n)).collect(),
        );
        let runs = self.runs.iter();
        section(
            "runs held against the model's (a packet of TC has a whole IP header)",
            runs.map(|(of, n)| (format!("{}: {}", of.0, of.1), *n))
                .collect(),
        );
        let counted = self.counted.iter();
        section(
            "how they ended",
            counted
                .map(|(of, n)| (format!("{} {}", direction(of.0), of.1.name()), *n))
                .collect(),
        );
        let business = self.business.iter();
        section(
            "what came in where everything is denied, by the other reading",
            business
                .map(|(of, n)| (format!("{}, {}", whose(of.0), fate(of.1)), *n))
                .collect(),
        );
        let failed = self.failures.len() as u64 + self.untold;
        let _ = write!(text, "\nsequences of {LENGTH} frames that failed: {failed}");
        text
    }
}

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "in ",
        Direction::Egress => "out",
    }
}

fn whose(business: Business) -> String {
    match business {
        Business::Others => "not for the node".into(),
        Business::Exempt(name) => format!("built-in {name}"),
        Business::Nodes => "for the node".into(),
    }
}

const fn fate(passed: bool) -> &'static str {
    if passed { "passed" } else { "dropped" }
}
