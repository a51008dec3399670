//! How many verdicts were told, by what they were: what Hubble's metrics count.
//!
//! Bounded: every part of a [`Kind`] has few values.

use std::collections::BTreeMap;

use fw_common::wire::DropReason;

use super::{Message, Record, Told};

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// What became of the packet.
    pub told: Told,
    /// Why, unless it is allowed.
    pub reason: Option<DropReason>,
    /// As Hubble's metrics name it (`pkg/hubble/api/v1/types.go`, `FlowProtocol`).
    pub protocol: &'static str,
    /// Policy was asked, and there is a flow of type policy verdict.
    pub policy: bool,
}

impl Kind {
    /// What a record is counted as.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let allowed = record.told == Told::Allow;
        Self {
            told: record.told,
            reason: record.drop_reason().filter(|_| !allowed),
            protocol: protocol(record),
            policy: record.messages().contains(&Message::PolicyVerdict),
        }
    }
}

fn protocol(record: &Record) -> &'static str {
    match record.protocol {
        6 if record.family != 0 => "TCP",
        17 if record.family != 0 => "UDP",
        132 if record.family != 0 => "SCTP",
        1 if record.family != 0 => "ICMPv4",
        58 if record.family != 0 => "ICMPv6",
        _ => "Unknown L4",
    }
}

/// The counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    kinds: BTreeMap<Kind, u64>,
    missed: u64,
}

impl Tally {
    /// Counts a record.
    pub fn add(&mut self, record: &Record) {
        *self.kinds.entry(Kind::of(record)).or_default() += 1;
    }

    /// Counts verdicts that a listener was too slow for.
    pub fn miss(&mut self, count: u64) {
        self.missed = self.missed.saturating_add(count);
    }

    /// How many were missed, by all listeners together.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// Every kind that was there, with how many.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        self.kinds.iter().map(|(kind, count)| (*kind, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::text::tests::record;

    #[test]
    fn what_differs_is_counted_apart() {
        let audit = record();
        let allowed = Record {
            told: Told::Allow,
            ..audit.clone()
        };
        let ping = Record {
            protocol: 1,
            ..allowed.clone()
        };
        let mut tally = Tally::default();
        for record in [&audit, &allowed, &audit, &ping] {
            tally.add(record);
        }
        let counts: Vec<_> = tally
            .iter()
            .map(|(kind, count)| (kind.told, kind.protocol, kind.reason.is_some(), count))
            .collect();
        let expected = [
            (Told::Allow, "ICMPv4", false, 1),
            (Told::Allow, "TCP", false, 1),
            (Told::Audit, "TCP", true, 2),
        ];
        assert_eq!(counts, expected);
        assert!(tally.iter().all(|(kind, _)| kind.policy));
    }
}
