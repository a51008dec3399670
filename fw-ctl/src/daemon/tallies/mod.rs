//! What rules have decided, over plans, daemons and boots.
//!
//! The kernel counts for each rule of a generation, from when that was installed. Here
//! what it has counted is added up by what a rule says, not by where it stands: a rule that
//! only moves keeps what it has, one that says something else begins anew.

mod identity;
mod names;
mod store;

use std::collections::HashMap;

use fw_common::wire::RuleTally;

pub use identity::{RuleId, identities};
pub use names::RuleName;
pub use store::TallyStore;

/// Generations whose counters are read: those that the kernel can hold, and one more that
/// may be on its way.
const GENERATIONS: usize = 3;
/// Rules that are in no such generation are remembered, so many at most: one that comes
/// back goes on where it was.
const GONE: usize = 16_384;

/// What a rule has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets, bytes and packets beyond its rate.
    pub tally: RuleTally,
    /// Since when it is counted: seconds since 1970.
    pub since: u64,
    /// When it was seen to have decided something last; `None`: never.
    pub last: Option<u64>,
}

/// Counters of a generation, as they were read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// Its rules, by their numbers.
    pub rules: Vec<RuleId>,
    /// What was added up already.
    pub read: Vec<RuleTally>,
}

/// All that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    counted: HashMap<RuleId, Counted>,
    /// The newest first.
    generations: Vec<Generation>,
}

impl Sums {
    /// A plan with these rules was installed as generation `number`, at `now`: its counters
    /// begin with nothing.
    pub fn installed(&mut self, number: u64, rules: Vec<RuleId>, now: u64) {
        for rule in &rules {
            self.counted.entry(*rule).or_insert(Counted {
                since: now,
                ..Counted::default()
            });
        }
        self.generations.retain(|known| known.number != number);
        let read = vec![RuleTally::default(); rules.len()];
        let generation = Generation {
            number,
            rules,
            read,
        };
        self.generations.insert(0, generation);
        self.generations.truncate(GENERATIONS);
        self.forget();
    }

    /// Generation `from` has become `to`, and its counters go on.
    pub fn amended(&mut self, from: u64, to: u64) {
        self.generations.retain(|known| known.number != to);
        for known in &mut self.generations {
            if known.number == from {
                known.number = to;
            }
        }
    }

    /// The generations whose counters are to be read, each with how many rules it has.
    #[must_use]
    pub fn wanted(&self) -> Vec<(u64, usize)> {
        let known = self.generations.iter();
        known
            .map(|known| (known.number, known.rules.len()))
            .collect()
    }

    /// Takes what the counters of generation `number` were at `now`. Returns what is new of
    /// each rule, by their numbers; `None`: nothing is.
    pub fn take(&mut self, number: u64, tallies: &[RuleTally], now: u64) -> Option<Vec<RuleTally>> {
        let known = self.generations.iter_mut();
        let known = known.into_iter().find(|known| known.number == number)?;
        if known.read.len() != tallies.len() || known.read == tallies {
            return None;
        }
        // Counters never go back: somebody has made the tables anew.
        let anew = known.read.iter().zip(tallies).any(|(old, new)| {
            new.packets < old.packets || new.bytes < old.bytes || new.limited < old.limited
        });
        if anew {
            known.read.fill(RuleTally::default());
        }
        let mut news = Vec::with_capacity(tallies.len());
        for ((rule, read), tally) in known.rules.iter().zip(&mut known.read).zip(tallies) {
            let more = RuleTally {
                packets: tally.packets - read.packets,
                bytes: tally.bytes - read.bytes,
                limited: tally.limited - read.limited,
            };
            *read = *tally;
            news.push(more);
            if more == RuleTally::default() {
                continue;
            }
            let counted = self.counted.entry(*rule).or_insert(Counted {
                since: now,
                ..Counted::default()
            });
            add(&mut counted.tally, &more);
            counted.last = Some(now);
        }
        Some(news)
    }

    /// What a rule has decided.
    #[must_use]
    pub fn of(&self, rule: &RuleId) -> Option<&Counted> {
        self.counted.get(rule)
    }

    /// The rules of generation `number`, by their numbers.
    #[must_use]
    pub fn rules(&self, number: u64) -> Option<&[RuleId]> {
        let known = self.generations.iter().find(|one| one.number == number)?;
        Some(&known.rules)
    }

    /// What was added up already of generation `number`, by the numbers of its rules.
    #[must_use]
    pub fn read(&self, number: u64) -> Option<&[RuleTally]> {
        let known = self.generations.iter().find(|one| one.number == number)?;
        Some(&known.read)
    }

    /// Forgets rules that are gone, if they are too many: those first that did nothing for
    /// longest.
    fn forget(&mut self) {
        let present: std::collections::HashSet<_> = self
            .generations
            .iter()
            .flat_map(|known| known.rules.iter().copied())
            .collect();
        let mut gone: Vec<_> = self
            .counted
            .iter()
            .filter(|(rule, _)| !present.contains(*rule))
            .map(|(rule, counted)| (counted.last.unwrap_or(counted.since), *rule))
            .collect();
        if gone.len() <= GONE {
            return;
        }
        gone.sort_unstable();
        for (_, rule) in &gone[..gone.len() - GONE] {
            self.counted.remove(rule);
        }
    }
}

fn add(sum: &mut RuleTally, more: &RuleTally) {
    sum.packets = sum.packets.saturating_add(more.packets);
    sum.bytes = sum.bytes.saturating_add(more.bytes);
    sum.limited = sum.limited.saturating_add(more.limited);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> RuleId {
        RuleId([number; 16])
    }

    fn tally(packets: u64) -> RuleTally {
        RuleTally {
            packets,
            bytes: packets * 60,
            limited: packets / 2,
        }
    }

    fn packets(sums: &Sums, rule: u8) -> Option<(u64, u64, Option<u64>)> {
        let counted = sums.of(&id(rule))?;
        assert_eq!(counted.tally.bytes, counted.tally.packets * 60);
        Some((counted.tally.packets, counted.since, counted.last))
    }

    #[test]
    fn counters_go_on_over_plans_by_what_a_rule_says() {
        let mut sums = Sums::default();
        sums.installed(1, vec![id(1), id(2)], 100);
        assert!(sums.take(1, &[tally(3), tally(0)], 110).is_some());
        assert_eq!(sums.take(1, &[tally(3), tally(0)], 120), None);
        assert_eq!(packets(&sums, 1), Some((3, 100, Some(110))));
        assert_eq!(packets(&sums, 2), Some((0, 100, None)));
        // The second comes first, and the first is replaced.
        sums.installed(2, vec![id(2), id(3)], 200);
        // What the old generation counted until it was left.
        assert!(sums.take(1, &[tally(4), tally(1)], 210).is_some());
        assert!(sums.take(2, &[tally(5), tally(6)], 210).is_some());
        assert_eq!(packets(&sums, 1), Some((4, 100, Some(210))));
        assert_eq!(packets(&sums, 2), Some((6, 100, Some(210))));
        assert_eq!(packets(&sums, 3), Some((6, 200, Some(210))));
        // It comes back.
        sums.installed(3, vec![id(1)], 300);
        assert!(sums.take(3, &[tally(1)], 310).is_some());
        assert_eq!(packets(&sums, 1), Some((5, 100, Some(310))));
    }

    #[test]
    fn two_numbers_of_one_rule_add_up() {
        let mut sums = Sums::default();
        sums.installed(1, vec![id(1), id(1)], 1);
        sums.take(1, &[tally(2), tally(3)], 2);
        assert_eq!(packets(&sums, 1), Some((5, 1, Some(2))));
    }

    #[test]
    fn an_amended_generation_goes_on_and_one_on_trial_comes_back() {
        let mut sums = Sums::default();
        sums.installed(1, vec![id(1)], 1);
        sums.take(1, &[tally(2)], 2);
        sums.amended(1, 2);
        assert_eq!(sums.take(1, &[tally(9)], 3), None, "there is none");
        assert!(sums.take(2, &[tally(3)], 3).is_some());
        sums.installed(3, vec![id(2)], 4);
        sums.take(3, &[tally(7)], 5);
        assert!(sums.take(2, &[tally(4)], 6).is_some());
        assert_eq!(packets(&sums, 1), Some((4, 1, Some(6))));
        assert_eq!(sums.wanted(), [(3, 1), (2, 1)]);
    }

    #[test]
    fn tables_that_were_made_anew_are_counted_from_the_beginning() {
        let mut sums = Sums::default();
        sums.installed(1, vec![id(1), id(2)], 1);
        sums.take(1, &[tally(10), tally(10)], 2);
        assert!(sums.take(1, &[tally(4), tally(11)], 3).is_some());
        assert_eq!(packets(&sums, 1), Some((14, 1, Some(3))));
        assert_eq!(packets(&sums, 2), Some((21, 1, Some(3))));
        // Of another plan: not taken.
        assert_eq!(sums.take(1, &[tally(20)], 4), None);
        assert_eq!(packets(&sums, 1), Some((14, 1, Some(3))));
    }

    #[test]
    fn what_is_gone_is_remembered_up_to_a_bound_the_last_to_act_longest() {
        let number = |n: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
            RuleId(bytes)
        };
        let mut sums = Sums::default();
        let many: Vec<_> = (0..GONE + 10).map(number).collect();
        let mut tallies = vec![tally(0); many.len()];
        tallies[3] = tally(1);
        sums.installed(1, many, 1);
        sums.take(1, &tallies, 50);
        for generation in 2..=4 {
            sums.installed(generation, vec![id(255)], 60);
        }
        assert_eq!(sums.counted.len(), GONE + 1);
        assert!(sums.of(&number(3)).is_some());
        assert!(sums.of(&number(0)).is_none());
        assert_eq!(sums.generations.len(), GENERATIONS);
    }
}
