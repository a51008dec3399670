//! The failsafe entries in force, and what they let pass.

use fw_common::wire::RuleTally;

use super::sources::options;
use super::status::FailsafeStatus;
use super::{Firewall, Inputs, Kernel, Sources};
use crate::compile::plan::PlanRule;
use crate::control::protocol::Failure;

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Every entry, in the order of the configuration.
    pub(super) fn failsafe(&self) -> Result<Vec<FailsafeStatus>, Failure> {
        let Some((_, compiled)) = &self.installed else {
            return Ok(Vec::new());
        };
        let rules = &compiled.plan.rules;
        let tallies = self.kernel.rule_counters(rules.len())?;
        Ok(entries(&compiled.inputs, rules, &tallies))
    }
}

/// The entries of the inputs beside their counters.
fn entries(inputs: &Inputs, rules: &[PlanRule], tallies: &[RuleTally]) -> Vec<FailsafeStatus> {
    let written = options(&inputs.config, &inputs.ssh_ports).failsafe;
    let counted = rules.iter().zip(tallies);
    let counted = counted.filter(|(rule, _)| rule.rule.starts_with("failsafe["));
    // Both are those of ingress before those of egress, each in the order of the file.
    let entry = |(entry, (rule, tally)): (_, (&PlanRule, &RuleTally))| {
        let entry: crate::compile::Failsafe = entry;
        FailsafeStatus {
            direction: entry.direction.name().into(),
            rule: rule.rule.clone(),
            allows: entry.to_string(),
            origin: entry.origin,
            packets: tally.packets,
            bytes: tally.bytes,
        }
    };
    written.into_iter().zip(counted).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fw_common::wire::Direction;

    use super::*;
    use crate::config::{Config, FailsafeEntry, FailsafePorts, Origin};
    use crate::daemon::sources;

    #[test]
    fn every_entry_is_told_with_what_it_let_pass() {
        let policies = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.policy.dirs = vec![policies.path().to_owned()];
        config.policy.inventory = vec![];
        let entry = |protocol, ports, cidr: Option<&str>, line| FailsafeEntry {
            protocol,
            ports,
            cidr: cidr.map(|cidr| cidr.parse().unwrap()),
            origin: Origin(format!("fw-ctl.toml:{line}")),
        };
        config.failsafe.outbound = vec![entry(17, FailsafePorts::Range(53..=53), None, 9)];
        config.failsafe.inbound = vec![
            entry(6, FailsafePorts::Ssh, Some("192.0.2.0/24"), 3),
            entry(58, FailsafePorts::None, None, 4),
        ];
        let (mut inputs, _) = Inputs::read(&config, &crate::lists::ListFiles::default());
        inputs.ssh_ports = [22, 2222].into();
        let compiled = sources::compile(Arc::new(inputs), vec![]);
        let compiled = compiled.unwrap_or_else(|_| panic!("it is right"));
        let rules = &compiled.plan.rules;
        let tallies = (0..rules.len() as u64).map(|id| RuleTally {
            packets: id,
            bytes: 60 * id,
            limited: 0,
        });
        let tallies: Vec<_> = tallies.collect();
        let told = entries(&compiled.inputs, rules, &tallies);
        let id = |direction, name: &str| {
            let mut rules = rules.iter();
            let is = |rule: &PlanRule| rule.direction == Some(direction) && rule.rule == name;
            rules.position(is).unwrap() as u64
        };
        let (first, second) = (
            id(Direction::Ingress, "failsafe[0]"),
            id(Direction::Ingress, "failsafe[1]"),
        );
        let third = id(Direction::Egress, "failsafe[0]");
        let told: Vec<_> = told
            .iter()
            .map(|one| {
                (
                    one.direction.as_str(),
                    one.allows.as_str(),
                    one.origin.as_str(),
                    one.packets,
                    one.bytes,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "ingress",
                    "tcp 22,2222 from 192.0.2.0/24",
                    "fw-ctl.toml:3",
                    first,
                    60 * first
                ),
                (
                    "ingress",
                    "icmpv6 from anybody",
                    "fw-ctl.toml:4",
                    second,
                    60 * second
                ),
                (
                    "egress",
                    "udp 53 to anybody",
                    "fw-ctl.toml:9",
                    third,
                    60 * third
                ),
            ]
        );
    }
}
