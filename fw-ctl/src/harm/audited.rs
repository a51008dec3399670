//! What audit mode let pass lately, and enforcement would have dropped.
//!
//! Told to whoever switches to enforcement, but no reason to refuse it: on a node that the
//! internet can reach, somebody always knocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use fw_common::wire::DropReason;
use serde::{Deserialize, Serialize};

use super::report::{Because, Few, MOST_LINES, SCHEMA, Way, ago, service_name, times};
use super::{Judge, Seen};
use crate::reference::builtin_name;

/// Everything that was audited and would be dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// Version of the JSON.
    pub schema: u32,
    /// By service, the last seen first.
    pub groups: Vec<AuditedGroup>,
    /// Groups that are not among them.
    pub more: usize,
}

/// What came to, or went to, one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditedGroup {
    /// Which way.
    pub direction: Way,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port, or type of ICMP.
    pub service: u16,
    /// The ends that are not the node's.
    pub peers: Few,
    /// How often it was reported: once a connection.
    pub count: u64,
    /// Seconds since the last time.
    pub seconds_ago: u64,
    /// What would have dropped it.
    pub because: Because,
}

impl fmt::Display for AuditedGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = service_name(self.protocol, self.service);
        match self.direction {
            Way::Ingress => write!(f, "from {} to {service}", self.peers)?,
            Way::Egress => write!(f, "to {service} of {}", self.peers)?,
        }
        let (times, ago) = (times(self.count), ago(self.seconds_ago));
        write!(f, ", {times}, last {ago}: {}", self.because)
    }
}

impl Audited {
    /// A line for each group, behind one that says what they are; none of none.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        if self.groups.is_empty() {
            return Vec::new();
        }
        let mut lines = vec!["audit mode let this pass, which is dropped in enforce mode:".into()];
        lines.extend(self.groups.iter().map(AuditedGroup::to_string));
        if self.more > 0 {
            lines.push(format!("and {} more services", self.more));
        }
        lines
    }
}

/// Groups what was audited, as far as `new` would drop it: plans change meanwhile.
#[must_use]
pub fn audited(new: &Judge<'_>, seen: &[Seen]) -> Audited {
    let mut groups: BTreeMap<_, Vec<&Seen>> = BTreeMap::new();
    for one in seen {
        if let Some(because) = denied(new, one) {
            let service = (one.direction, one.protocol, one.service);
            groups.entry((service, because)).or_default().push(one);
        }
    }
    let mut groups: Vec<_> = groups
        .into_iter()
        .map(|((_, because), all)| group(because, &all))
        .collect();
    groups.sort_by_key(|group| group.seconds_ago);
    let more = groups.len().saturating_sub(MOST_LINES);
    groups.truncate(MOST_LINES);
    Audited {
        schema: SCHEMA,
        groups,
        more,
    }
}

fn denied(new: &Judge<'_>, seen: &Seen) -> Option<Because> {
    let (passes, because) = new.opinion(seen, DropReason::from_slot(seen.reason)?);
    (!passes).then_some(because)
}

impl Judge<'_> {
    /// Whether it lets pass what was not allowed for `reason`, and what decides that.
    #[must_use]
    pub fn opinion(&self, seen: &Seen, reason: DropReason) -> (bool, Because) {
        if !reason.is_policy() {
            // A packet that cannot be read, by any plan.
            return (false, Because::packet(reason));
        }
        let flow = seen.flow();
        let of = |word| Because::of(self.plan, seen.direction, word);
        let Some(word) = self.word(&flow) else {
            let name = builtin_name(self.plan.builtins, &flow).unwrap_or_default();
            return (true, Because::builtin(name));
        };
        if word.is_allow() && word.is_limited() && reason == DropReason::RateLimited {
            let limited = Because {
                reason: reason.name().into(),
                ..of(word)
            };
            return (false, limited);
        }
        (word.is_allow(), of(word))
    }
}

fn group(because: Because, all: &[&Seen]) -> AuditedGroup {
    let peers: BTreeSet<IpAddr> = all.iter().map(|seen| seen.remote).collect();
    AuditedGroup {
        direction: all[0].direction.into(),
        protocol: all[0].protocol,
        service: all[0].service,
        peers: Few::of(peers),
        count: all.iter().map(|seen| seen.count).sum(),
        seconds_ago: all.iter().map(|seen| seen.age).min().unwrap_or(0),
        because,
    }
}
