//! The model and those that are held against it, shown the same frames.

use std::collections::BTreeMap;
use std::fmt;

use fw_common::wire::{Counter, Direction, RuleTally, Tally};
use fw_ctl::compile::plan::Plan;
use fw_ctl::datapath::modelrun::same;
use fw_ctl::datapath::{Hook, Outcome, Verdict};
use fw_ctl::netlink::LocalAddresses;

use super::oracle::{Business, Oracle};
use super::sensible::BANNED;
use crate::scenarios::Until;
use crate::targets::Target;

/// Packets and bytes by direction and counter.
type Counted = BTreeMap<(Direction, Counter), Tally>;

/// Targets that judge the same frames, the model first.
pub struct Lane {
    pub targets: Vec<Box<dyn Target>>,
    rules: usize,
    oracle: Option<Oracle>,
}

/// How the frames of a sequence are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Verdict and event of each, counters of all together.
    Hurried,
    /// Everything of each.
    Thorough,
}

/// What a sequence came to.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Runs by target and hook.
    pub runs: BTreeMap<(&'static str, &'static str), u64>,
    /// What the model counted.
    pub counted: BTreeMap<(Direction, Counter), u64>,
    /// What came in, by what the oracle says of it and whether it passed, where
    /// everything is denied.
    pub business: BTreeMap<(Business, bool), u64>,
}

/// What nobody wants to see.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The frame, if one is to blame.
    pub frame: Option<usize>,
    what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.frame {
            Some(frame) => write!(out, "frame {frame}: {}", self.what),
            None => self.what.fmt(out),
        }
    }
}

impl Lane {
    pub fn new(targets: Vec<Box<dyn Target>>) -> Self {
        Self {
            targets,
            rules: 0,
            oracle: None,
        }
    }

    /// Judges by `plan` from now on, and bans [`BANNED`]. Where it `denies` everything
    /// to the node, what passes must be what the oracle says.
    pub fn begin(&mut self, plan: &Plan, local: &LocalAddresses, denies: bool) {
        self.rules = plan.rules.len();
        self.oracle = denies.then(|| Oracle::new(local.clone(), plan.builtins != 0));
        for target in &mut self.targets {
            target.begin(plan, local);
            for banned in BANNED {
                target.ban(banned.parse().expect("an address"), &Until::Never);
            }
        }
    }

    /// Shows the frames to all, each as one that comes in and as one that goes out
    /// (every so many of the latter as `forwarded`; 0: none).
    ///
    /// # Errors
    /// The first difference.
    pub fn show(
        &mut self,
        frames: &[Vec<u8>],
        forwarded: usize,
        care: Care,
    ) -> Result<Seen, Difference> {
        let mut seen = Seen::default();
        let mut expected = vec![Counted::new(); self.targets.len()];
        let before = self.totals();
        self.targets.iter_mut().for_each(|target| target.forget());
        if let Some(oracle) = &mut self.oracle {
            oracle.forget();
        }
        for (number, frame) in frames.iter().enumerate() {
            let is_forwarded = forwarded != 0 && number % forwarded == 0;
            let out = match is_forwarded {
                true => Hook::TcEgressForwarded,
                false => Hook::TcEgress,
            };
            if !self.targets[0].sees(frame) {
                continue;
            }
            for out in [None, Some(out)] {
                self.show_one(frame, out, care, &mut seen, &mut expected)
                    .map_err(|what| Difference {
                        frame: Some(number),
                        what,
                    })?;
            }
        }
        self.compare_totals(&before, &expected)?;
        let counted = expected.swap_remove(0).into_iter();
        seen.counted = counted.map(|(of, tally)| (of, tally.packets)).collect();
        Ok(seen)
    }

    /// Shows a frame to all, to the hook `out` or as one that comes in.
    fn show_one(
        &mut self,
        frame: &[u8],
        out: Option<Hook>,
        care: Care,
        seen: &mut Seen,
        expected: &mut [Counted],
    ) -> Result<(), String> {
        let oracle = self.oracle.as_mut().filter(|_| out.is_none());
        let business = oracle.map(|oracle| oracle.judge(frame));
        let (model, others) = self.targets.split_first_mut().expect("there is the model");
        let hook = out.unwrap_or_else(|| model.ingress());
        let wanted = model.run(hook, frame).expect("the model takes any frame");
        let passes = wanted.verdict == Verdict::Pass;
        if let Some(business) = business {
            *seen.business.entry((business, passes)).or_default() += 1;
        }
        count(&mut expected[0], &wanted);
        for (target, expected) in others.iter_mut().zip(&mut expected[1..]) {
            let hook = out.unwrap_or_else(|| target.ingress());
            let run = match care {
                Care::Thorough => target.run(hook, frame),
                Care::Hurried => target.glance(hook, frame).map(|(verdict, event)| Outcome {
                    verdict,
                    event,
                    moved: wanted.moved.clone(),
                }),
            };
            let Some(found) = run else {
                continue;
            };
            *seen.runs.entry((target.name(), name(hook))).or_default() += 1;
            count(expected, &wanted);
            if !same(&wanted, &found) {
                let name = target.name();
                return Err(format!("model {wanted:?}\n  {name} {found:?}"));
            }
        }
        if business == Some(Business::Nodes) && passes {
            return Err(format!(
                "for the node, allowed by nobody, passes: {wanted:?}"
            ));
        }
        Ok(())
    }

    fn totals(&self) -> Vec<Totals> {
        let of = |target: &dyn Target| Totals {
            counted: target
                .counters()
                .into_iter()
                .map(|(direction, counter, tally)| ((direction, counter), tally))
                .collect(),
            rules: target.rules(self.rules),
        };
        self.targets.iter().map(|target| of(&**target)).collect()
    }

    fn compare_totals(&self, before: &[Totals], expected: &[Counted]) -> Result<(), Difference> {
        let after = self.totals();
        let rules = before[0].rules_until(&after[0]);
        for (number, expected) in expected.iter().enumerate() {
            let (before, after) = (&before[number], &after[number]);
            let (found, found_rules) = (before.counted_until(after), before.rules_until(after));
            if found != *expected || found_rules != rules {
                let name = self.targets[number].name();
                let what = format!(
                    "{name} counted {found:?}, rules {found_rules:?}\n  instead of {expected:?}, \
                     rules {rules:?}"
                );
                return Err(Difference { frame: None, what });
            }
        }
        Ok(())
    }
}

/// All counters of a target.
struct Totals {
    counted: Counted,
    rules: Vec<RuleTally>,
}

impl Totals {
    fn counted_until(&self, after: &Self) -> Counted {
        let moved = after.counted.iter().map(|(of, after)| {
            let before = self.counted.get(of).copied().unwrap_or_default();
            let tally = Tally {
                packets: after.packets - before.packets,
                bytes: after.bytes - before.bytes,
            };
            (*of, tally)
        });
        moved.filter(|(_, tally)| tally.packets != 0).collect()
    }

    /// Packets and those beyond the limit, by rule.
    fn rules_until(&self, after: &Self) -> Vec<(u64, u64)> {
        let both = self.rules.iter().zip(&after.rules);
        both.map(|(before, after)| {
            (
                after.packets - before.packets,
                after.limited - before.limited,
            )
        })
        .collect()
    }
}

fn count(sum: &mut Counted, outcome: &Outcome) {
    for (direction, counter, tally) in &outcome.moved {
        let sum = sum.entry((*direction, *counter)).or_default();
        sum.packets += tally.packets;
        sum.bytes += tally.bytes;
    }
}

const fn name(hook: Hook) -> &'static str {
    match hook {
        Hook::Xdp => "XDP ingress",
        Hook::TcIngress => "TC ingress",
        Hook::TcEgress => "TC egress",
        Hook::TcEgressForwarded => "TC egress, forwarded",
    }
}
