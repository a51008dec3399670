//! What the daemon answers a monitoring system.

use fw_common::wire::{Counter, RULES, RuleTally, SCHEMA_VERSION};

use super::filters::DatapathStatus;
use super::status::SCHEMA;
use super::tallies::RuleName;
use super::{Firewall, Kernel, Sources};
use crate::control::protocol::Failure;
use crate::metrics::{InterfaceNumbers, MapNumbers, Numbers, PacketNumbers, RuleNumbers};
use crate::observe::Tally as Events;

/// Rules that are told of: a scraper keeps each for weeks.
pub(super) const RULES_TOLD: usize = 1_000;
/// Interfaces that are told of.
pub(super) const INTERFACES_TOLD: usize = 256;

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// The numbers of this moment.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn numbers(&self) -> Result<Numbers, Failure> {
        let active = self.kernel.active()?;
        let lost = self.kernel.lost();
        let datapath = DatapathStatus::of(&self.kernel);
        let mut problems = self.wrong(active.is_some(), &lost, &datapath);
        problems.extend(self.starting());
        let (rules, more_rules) = self.rule_numbers();
        let attached = self.kernel.attached();
        let gaps = self.unfiltered(&lost).into_iter().filter(|link| link.gap);
        let installed = self.installed.as_ref();
        Ok(Numbers {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tables: SCHEMA_VERSION,
            mode: self.mode()?.mode,
            problems,
            judging: self.judges(),
            generation: active.map_or(0, |active| active.number),
            policies: installed.map_or(0, |(_, compiled)| compiled.policies as u64),
            packets: self.packets()?,
            rules,
            more_rules,
            connections: self.kernel.pressure()?,
            maps: self.maps()?,
            more_interfaces: attached.len().saturating_sub(INTERFACES_TOLD) as u64,
            interfaces: attached
                .into_iter()
                .take(INTERFACES_TOLD)
                .map(|link| InterfaceNumbers {
                    name: link.name,
                    ingress: link.ingress.name().to_owned(),
                })
                .collect(),
            gaps: gaps.count() as u64,
            lost_events: self.kernel.lost_events()?,
            reloads: self.reloads,
            refused: self.refused,
            // Who serves them knows.
            events: Events::default(),
            displaced: 0,
        })
    }

    /// The first rules in the order of the plan, as they were counted last, and how many there
    /// are more.
    fn rule_numbers(&self) -> (Vec<RuleNumbers>, u64) {
        let Some((_, compiled)) = &self.installed else {
            return (Vec::new(), 0);
        };
        let all = &compiled.plan.rules;
        let rules = &all[..all.len().min(RULES_TOLD)];
        let totals = self.tallies.named.of(rules).into_iter().map(of_rule);
        (totals.collect(), (all.len() - rules.len()) as u64)
    }

    fn maps(&self) -> Result<Vec<MapNumbers>, Failure> {
        let installed = self.installed.as_ref();
        let rules = installed.map(|(_, compiled)| MapNumbers {
            map: "rules".to_owned(),
            entries: compiled.plan.rules.len() as u64,
            limit: RULES.into(),
        });
        let occupied = self
            .kernel
            .occupancy()?
            .into_iter()
            .map(|table| MapNumbers {
                map: table.table.to_owned(),
                entries: table.entries,
                limit: table.limit,
            });
        Ok(rules.into_iter().chain(occupied).collect())
    }

    fn packets(&self) -> Result<Vec<PacketNumbers>, Failure> {
        let counters = self.kernel.counters()?.into_iter();
        let counters = counters.map(|(direction, counter, tally)| {
            let (verdict, reason) = of_counter(counter);
            PacketNumbers {
                direction: direction.name().to_owned(),
                verdict: verdict.to_owned(),
                reason,
                packets: tally.packets,
                bytes: tally.bytes,
            }
        });
        Ok(counters.collect())
    }
}

fn of_rule((rule, total): (RuleName, RuleTally)) -> RuleNumbers {
    RuleNumbers {
        direction: rule.direction.to_owned(),
        policy: rule.policy,
        rule: rule.rule,
        verdict: rule.verdict.to_owned(),
        packets: total.packets,
        bytes: total.bytes,
        limited: rule.limited.then_some(total.limited),
    }
}

/// Verdict and reason.
fn of_counter(counter: Counter) -> (&'static str, String) {
    let verdict = match counter {
        Counter::Dropped(reason) => return ("dropped", reason.name().to_owned()),
        Counter::Audited(reason) => return ("audited", reason.name().to_owned()),
        Counter::NotIp
        | Counter::NotLocal
        | Counter::Multicast
        | Counter::Forwarded
        | Counter::NoPlan => "passed",
        Counter::Builtin
        | Counter::Failsafe
        | Counter::Allowed
        | Counter::Reply
        | Counter::Related => "allowed",
    };
    (verdict, counter.name())
}
