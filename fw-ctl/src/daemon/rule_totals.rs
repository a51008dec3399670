//! What rules decided since the daemon started, whatever plans came and went.
//!
//! The kernel counts by the place of a rule in a plan, from 0 for each plan that is installed.
//! What a plan counted until the next one was in force is kept here by what the rule is called,
//! so that a total never goes down: a monitoring system would take that for a restart.

use std::collections::{BTreeMap, BTreeSet};

use fw_common::wire::{Direction, RULES, RuleTally};

use super::{Firewall, Kernel, Sources};
use crate::compile::plan::PlanRule;
use crate::control::protocol::Failure;

/// Rules that are in force no longer and are remembered, in case that they come back.
const REMEMBERED: usize = 2 * RULES as usize;

/// What a rule is called. Several of one plan may be called the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleKey {
    /// `ingress`, `egress`, `both`.
    pub(super) direction: &'static str,
    pub(super) policy: String,
    pub(super) rule: String,
    /// `allow` or `deny`.
    pub(super) verdict: &'static str,
    /// It has a rate.
    pub(super) limited: bool,
}

impl RuleKey {
    pub(super) fn of(rule: &PlanRule) -> Self {
        Self {
            direction: match rule.direction {
                Some(Direction::Ingress) => "ingress",
                Some(Direction::Egress) => "egress",
                None => "both",
            },
            policy: rule.policy.clone(),
            rule: rule.rule.clone(),
            verdict: if rule.allow { "allow" } else { "deny" },
            limited: rule.rate.is_some(),
        }
    }
}

/// The rules of a plan, in its order.
type Rules = Vec<RuleKey>;

/// What is known of plans that are in force no longer.
#[derive(Debug, Default)]
pub(super) struct RuleTotals {
    gone: BTreeMap<RuleKey, RuleTally>,
    /// The plan in force, if its rules have names.
    current: Option<Rules>,
    /// The plan before the one on trial, and what it had counted by then: it may go on with that.
    before: Option<(Rules, Vec<RuleTally>)>,
}

impl RuleTotals {
    /// Another plan is in force; `counted` is what the one before had counted by then.
    fn switched(&mut self, rules: &[PlanRule], counted: &[RuleTally]) {
        self.retire(counted);
        self.before = None;
        self.adopt(rules);
        self.forget();
    }

    /// The same, on trial.
    fn tried(&mut self, rules: &[PlanRule], counted: &[RuleTally]) {
        let before = self.current.clone();
        self.switched(rules, counted);
        self.before = before.map(|rules| (rules, counted.to_vec()));
    }

    /// The plan before the one on trial is in force again.
    fn went_back(&mut self, counted: &[RuleTally]) {
        self.retire(counted);
        let Some((rules, counted)) = self.before.take() else {
            return;
        };
        for (rule, tally) in rules.iter().zip(counted) {
            if let Some(gone) = self.gone.get_mut(rule) {
                gone.packets = gone.packets.saturating_sub(tally.packets);
                gone.bytes = gone.bytes.saturating_sub(tally.bytes);
                gone.limited = gone.limited.saturating_sub(tally.limited);
            }
        }
        self.current = Some(rules);
    }

    /// The plan in force has these rules, unless that is known.
    fn adopt(&mut self, rules: &[PlanRule]) {
        let of = || rules.iter().map(RuleKey::of).collect();
        self.current.get_or_insert_with(of);
    }

    fn retire(&mut self, counted: &[RuleTally]) {
        let rules = self.current.take().unwrap_or_default();
        for (rule, tally) in rules.into_iter().zip(counted) {
            add(self.gone.entry(rule).or_default(), *tally);
        }
    }

    fn forget(&mut self) {
        if self.gone.len() > REMEMBERED {
            let current: BTreeSet<_> = self.current.iter().flatten().collect();
            self.gone.retain(|rule, _| current.contains(rule));
        }
    }

    /// Totals of rules in force, of which `counted` is what they have counted in this plan.
    pub(super) fn of(
        &self,
        rules: &[PlanRule],
        counted: &[RuleTally],
    ) -> Vec<(RuleKey, RuleTally)> {
        let mut totals = BTreeMap::<_, RuleTally>::new();
        for (rule, tally) in rules.iter().map(RuleKey::of).zip(counted) {
            add(totals.entry(rule).or_default(), *tally);
        }
        for (rule, total) in &mut totals {
            add(total, self.gone.get(rule).copied().unwrap_or_default());
        }
        totals.into_iter().collect()
    }

    fn count(&self) -> usize {
        self.current.as_ref().map_or(0, Vec::len)
    }
}

fn add(total: &mut RuleTally, more: RuleTally) {
    total.packets = total.packets.saturating_add(more.packets);
    total.bytes = total.bytes.saturating_add(more.bytes);
    total.limited = total.limited.saturating_add(more.limited);
}

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// What the plan had counted that was in force until a moment ago.
    fn counted_before(&self) -> Vec<RuleTally> {
        let counted = self.kernel.rule_counters_before(self.totals.count());
        counted.unwrap_or_else(|failure: Failure| {
            // Totals begin anew for it, which a monitoring system can deal with.
            tracing::warn!("{failure}");
            Vec::new()
        })
    }

    pub(super) fn totals_switched(&mut self, rules: &[PlanRule]) {
        let counted = self.counted_before();
        self.totals.switched(rules, &counted);
    }

    pub(super) fn totals_tried(&mut self, rules: &[PlanRule]) {
        let counted = self.counted_before();
        self.totals.tried(rules, &counted);
    }

    pub(super) fn totals_went_back(&mut self) {
        let counted = self.counted_before();
        self.totals.went_back(&counted);
    }

    pub(super) fn totals_adopted(&mut self, rules: &[PlanRule]) {
        self.totals.adopt(rules);
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn rule(name: &str) -> PlanRule {
        PlanRule {
            policy: "web".into(),
            rule: name.into(),
            origin: String::new(),
            direction: Some(Direction::Ingress),
            allow: true,
            match_type: "all",
            rate: None,
            vlans: None,
        }
    }

    fn counted(packets: &[u64]) -> Vec<RuleTally> {
        let tally = |packets: &u64| RuleTally {
            packets: *packets,
            bytes: *packets * 60,
            limited: 0,
        };
        packets.iter().map(tally).collect()
    }

    fn packets(totals: &RuleTotals, rules: &[PlanRule], now: &[u64]) -> Vec<u64> {
        let totals = totals.of(rules, &counted(now)).into_iter();
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
        let mut totals = RuleTotals::default();
        totals.switched(&[a.clone(), b.clone()], &[]);
        assert_eq!(packets(&totals, &[a.clone(), b.clone()], &[1, 2]), [1, 2]);
        // In another order, and one is new.
        totals.switched(&[c.clone(), b.clone(), a.clone()], &counted(&[5, 7]));
        let now = packets(&totals, &[c.clone(), b.clone(), a.clone()], &[1, 0, 2]);
        assert_eq!(now, [7, 7, 1], "in order of name: a, b, c");
        // Gone, and there again.
        totals.switched(from_ref(&a), &counted(&[1, 0, 2]));
        totals.switched(from_ref(&b), &counted(&[3]));
        assert_eq!(packets(&totals, from_ref(&b), &[1]), [8]);
        // Two that are called the same are one.
        totals.switched(&[a.clone(), a.clone()], &counted(&[1]));
        assert_eq!(packets(&totals, &[a.clone(), a], &[20, 30]), [60]);
    }

    #[test]
    fn a_trial_that_is_lost_counts_nothing_twice() {
        let (a, b) = (rule("a"), rule("b"));
        let mut totals = RuleTotals::default();
        totals.switched(from_ref(&a), &[]);
        totals.tried(&[b.clone(), a.clone()], &counted(&[5]));
        let on_trial = packets(&totals, &[b.clone(), a.clone()], &[1, 2]);
        assert_eq!(on_trial, [7, 1]);
        totals.went_back(&counted(&[1, 2]));
        // The kernel goes on counting from 5.
        assert_eq!(packets(&totals, from_ref(&a), &[5]), [7]);
        assert_eq!(packets(&totals, from_ref(&a), &[6]), [8]);
        totals.switched(from_ref(&b), &counted(&[6]));
        assert_eq!(packets(&totals, &[b], &[0]), [1]);
        assert_eq!(packets(&totals, &[a], &[0]), [8]);
    }

    #[test]
    fn of_rules_that_are_gone_not_more_than_so_many_are_remembered() {
        let mut totals = RuleTotals::default();
        let stays = rule("stays");
        for number in 0..=3 * REMEMBERED / 1_000 {
            let mut rules: Vec<_> = (0..1_000).map(|i| rule(&format!("{number}-{i}"))).collect();
            rules.push(stays.clone());
            totals.switched(&rules, &counted(&vec![1; 1_001]));
            assert!(totals.gone.len() <= REMEMBERED);
        }
        let last = 3 * REMEMBERED as u64 / 1_000;
        assert_eq!(packets(&totals, &[stays], &[1]), [last + 1]);
    }
}
