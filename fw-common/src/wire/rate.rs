//! Rate limits of rules, and what is remembered of those whom they limit.
//!
//! The generic cell rate algorithm (ITU-T I.371 annex A): all that is remembered of a
//! peer is the time at which it would be due if it had kept to its rate. A packet
//! moves that time on by one interval; who is further ahead of it than the tolerance
//! is over the limit. One word, no lock.

use super::pod;

/// Units of the clock of rate limits in a second.
pub const CLOCK_UNITS: u64 = 1 << 32;

/// The limit of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RateLimit {
    /// Time between packets at the rate, in [`CLOCK_UNITS`].
    pub interval: u64,
    /// How far ahead of its rate a peer may be, in [`CLOCK_UNITS`]: what makes a burst.
    pub tolerance: u64,
    /// Tells the rule from others, also after a reload.
    pub key: u32,
    /// Bits of an address that tell one peer from another, of a mapped IPv4 address
    /// and of an IPv6 address. 0: all are one.
    pub prefix: [u8; 2],
    /// Zero.
    pub pad: u16,
}

impl RateLimit {
    /// What tells a peer of the family 4 or 6 from others: its prefix. Both are the
    /// upper and the lower half of the (mapped) address as numbers.
    #[inline(always)]
    #[must_use]
    pub const fn network(&self, family: u8, peer: [u64; 2]) -> [u64; 2] {
        let length = self.prefix[(family == 6) as usize] as u32;
        let upper = if length < 64 { length } else { 64 };
        [peer[0] & mask(upper), peer[1] & mask(length - upper)]
    }
}

/// The first bits of a word, 0 to 64. In two shifts, because none is 64 wide.
#[inline(always)]
const fn mask(length: u32) -> u64 {
    let half = length / 2;
    !(u64::MAX >> half >> (length - half))
}

/// Peers in a bucket.
pub const RATE_SLOTS: usize = 8;

/// Peers whose hashes lead to one place: a cache line that says which, one that says
/// when they are due.
///
/// A hash stands for its key: whoever chose two keys, that they share all 64 bits is
/// less likely than one in a billion, and then they share a limit. A slot whose hash
/// is 0 is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct RateBucket {
    /// [`super::FlowSeeds::rate_hash`].
    pub hashes: [u64; RATE_SLOTS],
    /// When each is due, in [`CLOCK_UNITS`].
    pub due: [u64; RATE_SLOTS],
}

pod!(RateLimit: 24, RateBucket: 128);

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(v4: u8, v6: u8) -> RateLimit {
        RateLimit {
            prefix: [v4, v6],
            ..RateLimit::default()
        }
    }

    #[test]
    fn a_prefix_is_what_is_left_of_an_address() {
        let v4 = |length, low: u64| limit(length, 0).network(4, [0, 0xffff_0000_0000 | low]);
        assert_eq!(v4(128, 0xc000_0207), [0, 0xffff_c000_0207]);
        assert_eq!(v4(96 + 24, 0xc000_0207), [0, 0xffff_c000_0200]);
        assert_eq!(v4(96, 0xc000_0207), [0, 0xffff_0000_0000]);
        assert_eq!(v4(0, 0xc000_0207), [0, 0]);
    }

    #[test]
    fn a_prefix_of_ipv6_is_cut_in_either_half() {
        let v6 =
            |length| limit(0, length).network(6, [0x2001_0db8_0001_0002, 0x0003_0004_0005_0006]);
        assert_eq!(v6(128), [0x2001_0db8_0001_0002, 0x0003_0004_0005_0006]);
        assert_eq!(v6(112), [0x2001_0db8_0001_0002, 0x0003_0004_0005_0000]);
        assert_eq!(v6(64), [0x2001_0db8_0001_0002, 0]);
        assert_eq!(v6(48), [0x2001_0db8_0001_0000, 0]);
        assert_eq!(v6(0), [0, 0]);
    }
}
