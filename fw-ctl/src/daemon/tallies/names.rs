//! What rules decided since the daemon started, by what they are called: for monitoring
//! systems, which know a rule by its labels.
//!
//! Such a total never goes down while the daemon lives, whatever plans come and go: a
//! monitoring system would take that for a restart.

use std::collections::{BTreeMap, BTreeSet};

use fw_common::wire::{RULES, RuleTally};

use super::{GENERATIONS, add};
use crate::compile::plan::PlanRule;

/// Rules that are in force no longer and are remembered, in case that they come back.
const REMEMBERED: usize = 2 * RULES as usize;

/// What a rule is called. Several of one plan may be called the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleName {
    /// `ingress`, `egress`, `both`.
    pub direction: &'static str,
    /// Name of the policy.
    pub policy: String,
    /// As [`PlanRule::rule`].
    pub rule: String,
    /// `allow` or `deny`.
    pub verdict: &'static str,
    /// It has a rate.
    pub limited: bool,
}

impl RuleName {
    fn of(rule: &PlanRule) -> Self {
        Self {
            direction: rule.direction_name(),
            policy: rule.policy.clone(),
            rule: rule.rule.clone(),
            verdict: rule.verdict_name(),
            limited: rule.rate.is_some(),
        }
    }
}

/// Totals by name.
#[derive(Debug, Default)]
pub struct NamedTotals {
    totals: BTreeMap<RuleName, RuleTally>,
    /// Generations that may count, the newest first: number, and names by the numbers of rules.
    generations: Vec<(u64, Vec<RuleName>)>,
}

impl NamedTotals {
    /// Whether it is known what the rules of generation `number` are called.
    pub fn knows(&self, number: u64) -> bool {
        self.generations.iter().any(|(known, _)| *known == number)
    }

    /// Generation `number` has these rules, and they have `counted` this much before.
    pub fn begin(&mut self, number: u64, rules: &[PlanRule], counted: &[RuleTally]) {
        let names: Vec<_> = rules.iter().map(RuleName::of).collect();
        self.generations.retain(|(known, _)| *known != number);
        self.generations.insert(0, (number, names));
        self.generations.truncate(GENERATIONS);
        self.add(number, counted);
        self.forget();
    }

    /// Generation `from` has become `to`, and its counters go on.
    pub fn amended(&mut self, from: u64, to: u64) {
        self.generations.retain(|(known, _)| *known != to);
        for (number, _) in &mut self.generations {
            if *number == from {
                *number = to;
            }
        }
    }

    /// The rules of generation `number` have counted so much `more`.
    pub fn add(&mut self, number: u64, more: &[RuleTally]) {
        let known = self.generations.iter().find(|(known, _)| *known == number);
        let Some((_, names)) = known else { return };
        for (name, more) in names.iter().zip(more) {
            if *more == RuleTally::default() {
                continue;
            }
            match self.totals.get_mut(name) {
                Some(total) => add(total, more),
                None => drop(self.totals.insert(name.clone(), *more)),
            }
        }
    }

    /// Totals of these rules, in the order of their names.
    pub fn of(&self, rules: &[PlanRule]) -> Vec<(RuleName, RuleTally)> {
        let names: BTreeSet<_> = rules.iter().map(RuleName::of).collect();
        let total = |name: &RuleName| self.totals.get(name).copied().unwrap_or_default();
        let totals = names.into_iter().map(|name| {
            let total = total(&name);
            (name, total)
        });
        totals.collect()
    }

    fn forget(&mut self) {
        if self.totals.len() > REMEMBERED {
            let present: BTreeSet<_> = self
                .generations
                .iter()
                .flat_map(|(_, names)| names)
                .collect();
            self.totals.retain(|name, _| present.contains(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn rule(name: &str) -> PlanRule {
        PlanRule::allowing("web", name)
    }

    fn counted(packets: &[u64]) -> Vec<RuleTally> {
        let tally = |packets: &u64| RuleTally {
            packets: *packets,
            bytes: *packets * 60,
            limited: 0,
        };
        packets.iter().map(tally).collect()
    }

    fn packets(totals: &NamedTotals, rules: &[PlanRule]) -> Vec<u64> {
        let totals = totals.of(rules).into_iter();
        totals
            .map(|(_, total)| {
                assert_eq!(total.bytes, total.packets * 60);
                total.packets
            })
            .collect()
    }

    #[test]
    fn totals_go_on_in_the_next_plan_wherever_the_rule_is_there() {
        let (a, b, c) = (rule("a"), rule("b"), rule("c"));
        let mut totals = NamedTotals::default();
        totals.begin(1, &[a.clone(), b.clone()], &[]);
        totals.add(1, &counted(&[1, 2]));
        assert_eq!(packets(&totals, &[a.clone(), b.clone()]), [1, 2]);
        // In another order, and one is new; what the former counted to its end comes late.
        let all = [c.clone(), b.clone(), a.clone()];
        totals.begin(2, &all, &[]);
        totals.add(1, &counted(&[4, 5]));
        totals.add(2, &counted(&[1, 0, 2]));
        assert_eq!(
            packets(&totals, &all),
            [7, 7, 1],
            "in order of name: a, b, c"
        );
        // Gone, and there again.
        totals.begin(3, from_ref(&a), &[]);
        totals.begin(4, from_ref(&b), &[]);
        totals.add(4, &counted(&[1]));
        assert_eq!(packets(&totals, from_ref(&b)), [8]);
        // Two that are called the same are one.
        totals.begin(5, &[a.clone(), a.clone()], &[]);
        totals.add(5, &counted(&[20, 30]));
        assert_eq!(packets(&totals, &[a.clone(), a]), [57]);
        totals.add(1, &counted(&[100]));
        assert_eq!(packets(&totals, &[b]), [8], "it is long gone");
    }

    #[test]
    fn a_plan_that_is_found_brings_what_it_has_counted_and_an_amended_one_goes_on() {
        let a = rule("a");
        let mut totals = NamedTotals::default();
        assert!(!totals.knows(7));
        totals.begin(7, from_ref(&a), &counted(&[5]));
        assert!(totals.knows(7));
        totals.amended(7, 8);
        assert!(totals.knows(8) && !totals.knows(7));
        totals.add(8, &counted(&[1]));
        totals.add(7, &counted(&[100]));
        assert_eq!(packets(&totals, from_ref(&a)), [6]);
    }

    #[test]
    fn of_rules_that_are_gone_not_more_than_so_many_are_remembered() {
        let mut totals = NamedTotals::default();
        let stays = rule("stays");
        let last = 3 * REMEMBERED as u64 / 1_000;
        for number in 0..=last {
            let mut rules: Vec<_> = (0..1_000).map(|i| rule(&format!("{number}-{i}"))).collect();
            rules.push(stays.clone());
            totals.begin(number, &rules, &[]);
            totals.add(number, &counted(&vec![1; 1_001]));
            assert!(totals.totals.len() <= REMEMBERED + 1_001);
        }
        assert_eq!(packets(&totals, &[stays]), [last + 1]);
    }
}
