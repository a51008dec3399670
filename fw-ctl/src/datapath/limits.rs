//! Rate limits as the datapath calculates with them.

use std::collections::BTreeMap;

use fw_common::wire::{CLOCK_UNITS, Direction, RateBucket, RateLimit};
use sha2::{Digest, Sha256};

use crate::compile::plan::{Plan, PlanRule};
use crate::policy::rate::Rate;

/// Name of the table of limits.
pub const RATE_LIMITS: &str = "RATE_LIMITS";
/// Name of the table of whom they limit.
pub const RATES: &str = "RATES";

/// The part of the memory of the machine that limited peers may take: 2 MiB
/// (131,072 peers) of 16 GiB.
const PART: u64 = 8_192;
/// At least 8,192 peers: 128 KiB.
const FEWEST: u64 = 1_024;
/// At most a million: 16 MiB.
const MOST: u64 = 131_072;
/// Bits of an address before those of IPv4.
const MAPPED: u8 = 96;
/// The longest tick of the kernel's clock (`CONFIG_HZ=100`). What a rate gives in a
/// tick comes at once as far as the datapath can see.
const TICK: u64 = CLOCK_UNITS / 100;

/// The limits of the rules that decide about some packet in `plan`, by rule id.
#[must_use]
pub fn limits(plan: &Plan) -> BTreeMap<u16, RateLimit> {
    let cells = &plan.directions[Direction::Ingress as usize].cells;
    let mut limits = BTreeMap::new();
    for cell in cells.iter().filter(|cell| cell.is_limited()) {
        let id = cell.rule();
        if let Some(rule) = plan.rules.get(usize::from(id))
            && let Some(rate) = rule.rate
        {
            limits.entry(id).or_insert_with(|| limit(rule, rate));
        }
    }
    limits
}

/// The limit of a rule.
fn limit(rule: &PlanRule, rate: Rate) -> RateLimit {
    let interval = rate.period.seconds() * CLOCK_UNITS / u64::from(rate.count);
    RateLimit {
        interval,
        tolerance: (u64::from(rate.burst - 1) * interval).max(TICK),
        key: key(rule, rate),
        prefix: rate.prefixes.map_or([0, 0], |(v4, v6)| [MAPPED + v4, v6]),
        pad: 0,
    }
}

/// The same for the same rule after a reload, so that nobody may begin anew, and
/// another for another rate.
fn key(rule: &PlanRule, rate: Rate) -> u32 {
    let text = format!("{}\0{}\0{rate}", rule.policy, rule.rule);
    let [a, b, c, d, ..] = Sha256::digest(text)[..] else {
        unreachable!("a SHA-256 has 32 bytes");
    };
    u32::from_le_bytes([a, b, c, d])
}

/// Buckets of limited peers for a machine of this much memory.
#[must_use]
pub fn buckets_for(memory: u64) -> u32 {
    let buckets = memory / PART / size_of::<RateBucket>() as u64;
    buckets.clamp(FEWEST, MOST) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(policy: &str, rate: &str) -> RateLimit {
        let rule = PlanRule::allowing(policy, "ingress[0]");
        limit(&rule, rate.parse().unwrap())
    }

    #[test]
    fn a_rate_becomes_an_interval_and_a_burst_a_tolerance() {
        let limit = limit_of("web", "10/m per /24 burst 4");
        assert_eq!(limit.interval, 6 * CLOCK_UNITS);
        assert_eq!(limit.tolerance, 18 * CLOCK_UNITS);
        assert_eq!(limit.prefix, [120, 48]);
        assert_eq!(limit_of("web", "10/m").prefix, [0, 0]);
    }

    #[test]
    fn what_comes_in_one_tick_is_never_too_much() {
        let limit = limit_of("web", "1000/s burst 1");
        assert_eq!(limit.tolerance / limit.interval, 10);
        assert!(limit_of("web", "1/s").tolerance < limit_of("web", "1/s").interval);
    }

    #[test]
    fn a_key_is_that_of_the_rule_and_its_rate() {
        let key = |policy, rate| limit_of(policy, rate).key;
        assert_eq!(key("web", "1/s"), key("web", "1/s burst 1"));
        assert_ne!(key("web", "1/s"), key("web", "2/s"));
        assert_ne!(key("web", "1/s"), key("mail", "1/s"));
    }

    #[test]
    fn the_table_grows_with_the_memory() {
        assert_eq!(
            [0, 16, 4_096].map(|gib| buckets_for(gib << 30)),
            [1_024, 16_384, 131_072]
        );
    }
}
