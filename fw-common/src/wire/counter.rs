//! What became of packets: one counter moves for every packet, exactly one.

use super::{Direction, DropReason, pod};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tally {
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames, without checksum.
    pub bytes: u64,
}

/// What a rule decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RuleTally {
    /// Packets that it decided, without those beyond its limit.
    pub packets: u64,
    /// Bytes of their frames, without checksum.
    pub bytes: u64,
    /// Packets beyond its limit: dropped, or in audit mode reported.
    pub limited: u64,
}

pod!(Tally: 16, RuleTally: 24);

/// Where a packet is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Neither IP nor ARP (LLDP, LACP, …): passed.
    NotIp,
    /// Not to or from an address of the node: passed, not our business.
    NotLocal,
    /// Egress to a multicast or broadcast address: passed.
    Multicast,
    /// Egress of a packet that the node forwards under its own address: passed.
    Forwarded,
    /// A built-in let it pass.
    Builtin,
    /// A failsafe entry let it pass.
    Failsafe,
    /// Policy allows it.
    Allowed,
    /// A reply to a connection of the other direction: passed.
    Reply,
    /// An ICMP error about a tracked connection: passed.
    Related,
    /// No plan is installed: passed.
    NoPlan,
    /// Dropped.
    Dropped(DropReason),
    /// Would have been dropped; passed, because the mode is audit.
    Audited(DropReason),
}

const PASSED: u32 = 16;
const REASONS: u32 = 24;
const PER_DIRECTION: u32 = PASSED + 2 * REASONS;

/// Counters of both directions together.
pub const COUNTERS: u32 = 2 * PER_DIRECTION;

/// Index of a counter.
#[inline(always)]
#[must_use]
pub const fn counter_index(direction: Direction, counter: Counter) -> u32 {
    let slot = match counter {
        Counter::NotIp => 0,
        Counter::NotLocal => 1,
        Counter::Multicast => 2,
        Counter::Forwarded => 3,
        Counter::Builtin => 4,
        Counter::Failsafe => 5,
        Counter::Allowed => 6,
        Counter::Reply => 7,
        Counter::Related => 8,
        Counter::NoPlan => 9,
        Counter::Dropped(reason) => PASSED + reason as u32,
        Counter::Audited(reason) => PASSED + REASONS + reason as u32,
    };
    direction as u32 * PER_DIRECTION + slot
}

#[cfg(not(target_arch = "bpf"))]
impl Counter {
    /// Every counter.
    pub fn all() -> impl Iterator<Item = Self> {
        let passed = [
            Self::NotIp,
            Self::NotLocal,
            Self::Multicast,
            Self::Forwarded,
            Self::Builtin,
            Self::Failsafe,
            Self::Allowed,
            Self::Reply,
            Self::Related,
            Self::NoPlan,
        ];
        let reasons = || super::DROP_REASONS.iter().map(|row| row.0);
        passed
            .into_iter()
            .chain(reasons().map(Self::Dropped))
            .chain(reasons().map(Self::Audited))
    }

    /// Its name: `allowed`, `dropped/default-deny`, …
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::NotIp => "not-ip".into(),
            Self::NotLocal => "not-local".into(),
            Self::Multicast => "multicast".into(),
            Self::Forwarded => "forwarded".into(),
            Self::Builtin => "builtin".into(),
            Self::Failsafe => "failsafe".into(),
            Self::Allowed => "allowed".into(),
            Self::Reply => "reply".into(),
            Self::Related => "related".into(),
            Self::NoPlan => "no-plan".into(),
            Self::Dropped(reason) => format!("dropped/{}", reason.name()),
            Self::Audited(reason) => format!("audited/{}", reason.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_counters_share_an_index() {
        let mut seen = std::collections::BTreeSet::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            for counter in Counter::all() {
                let index = counter_index(direction, counter);
                assert!(index < COUNTERS);
                assert!(seen.insert(index), "{}", counter.name());
            }
        }
    }
}
