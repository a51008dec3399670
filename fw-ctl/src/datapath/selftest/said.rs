//! What the plan and the programs say of a packet, to be compared.

use std::collections::BTreeMap;

use fw_common::wire::{Action, Direction, Event, RULE_NO_POLICY, VerdictWord};

use super::super::testrun::{Hook, Verdict};
use super::samples::Sample;
use crate::compile::plan::PlanRule;
use crate::policy::rules::Service;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether it passes.
    pub verdict: Verdict,
    /// The [`Action`], and by which rule; `None`: by none that is reported.
    pub decided: Option<(u8, u16)>,
}

impl Said {
    /// Passes, and no rule is asked: by a built-in.
    pub const UNASKED: Self = Self {
        verdict: Verdict::Pass,
        decided: None,
    };

    pub(super) fn by_program(verdict: Verdict, event: Option<&Event>) -> Self {
        Self {
            verdict,
            decided: event.map(|event| (event.action, event.rule)),
        }
    }

    /// As a plan says, in which this word stands.
    #[must_use]
    pub fn by_word(word: VerdictWord, enforces: bool) -> Self {
        let rule = word.rule();
        let (verdict, action) = match (word.is_allow(), enforces) {
            (true, _) => (Verdict::Pass, Action::Allow),
            (false, true) => (Verdict::Drop, Action::Deny),
            (false, false) => (Verdict::Pass, Action::Audit),
        };
        let reported = action != Action::Allow || rule != RULE_NO_POLICY;
        Self {
            verdict,
            decided: reported.then_some((action as u8, rule)),
        }
    }

    /// In words.
    #[must_use]
    pub fn describe(self, rules: &[PlanRule]) -> String {
        let audited = |(action, _)| action == Action::Audit as u8;
        let verdict = match self.verdict {
            Verdict::Pass if self.decided.is_some_and(audited) => "passes as AUDITED",
            Verdict::Pass => "passes",
            Verdict::Drop => "is dropped",
        };
        match self.decided {
            None => format!("{verdict}, by no rule"),
            Some((_, rule)) => match rules.get(usize::from(rule)) {
                Some(named) if !named.policy.is_empty() => {
                    format!("{verdict} by rule {rule} ({} {})", named.policy, named.rule)
                }
                _ => format!("{verdict} by rule {rule}"),
            },
        }
    }
}

/// The programs that judge a direction.
pub(super) const fn hooks(direction: Direction) -> &'static [Hook] {
    match direction {
        Direction::Ingress => &[Hook::Xdp, Hook::TcIngress],
        Direction::Egress => &[Hook::TcEgress],
    }
}

pub(super) fn differs(
    sample: &Sample,
    hook: Hook,
    rules: &[PlanRule],
    says: (Said, Said),
) -> String {
    let way = match sample.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let program = hook.name();
    let service = match sample.service {
        Service::Port { protocol, port } => {
            let names = BTreeMap::from([(6, "TCP"), (17, "UDP"), (132, "SCTP")]);
            format!("{} {port}", names.get(&protocol).unwrap_or(&"port"))
        }
        Service::Icmp(kind) => format!("ICMP type {kind}"),
        Service::Icmpv6(kind) => format!("ICMPv6 type {kind}"),
        Service::Protocol(number) => format!("protocol {number}"),
    };
    let vlan = match sample.vlan {
        0 => String::new(),
        vlan => format!(" in VLAN {vlan}"),
    };
    let (expected, said) = (says.0.describe(rules), says.1.describe(rules));
    format!(
        "by the plan {service} {way} {}{vlan} {expected}, by the program ({program}) it {said}",
        sample.peer
    )
}
