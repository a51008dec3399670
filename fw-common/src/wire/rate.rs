//! Rate limits of rules, and what is remembered of those whom they limit.
//!
//! The generic cell rate algorithm (ITU-T I.371 annex A): all that is remembered of a
//! peer is the time at which it would be due if it had kept to its rate. A packet
//! moves that time on by one interval; who is further ahead of it than the tolerance
//! is over the limit. One word, no lock.

use super::{Address, pod};

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
    /// What tells the peer at `address` of the family 4 or 6 from others: upper and
    /// lower half of its prefix.
    #[inline(always)]
    #[must_use]
    pub const fn network(&self, family: u8, address: &Address) -> [u64; 2] {
        let length = self.prefix[(family == 6) as usize] as u32;
        let upper = if length < 64 { length } else { 64 };
        let [a, b, c, d] = address.0;
        [join(a, b) & mask(upper), join(c, d) & mask(length - upper)]
    }
}

/// Two words of an address, as they lie in memory, as a number.
#[inline(always)]
const fn join(high: u32, low: u32) -> u64 {
    (high.to_be() as u64) << 32 | low.to_be() as u64
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
        let v4 = |length, bytes| limit(length, 0).network(4, &Address::v4(bytes));
        assert_eq!(v4(128, [192, 0, 2, 7]), [0, 0xffff_c000_0207]);
        assert_eq!(v4(96 + 24, [192, 0, 2, 7]), [0, 0xffff_c000_0200]);
        assert_eq!(v4(96 + 24, [192, 0, 2, 9]), v4(96 + 24, [192, 0, 2, 7]));
        assert_ne!(v4(96 + 24, [192, 0, 3, 7]), v4(96 + 24, [192, 0, 2, 7]));
        assert_eq!(v4(0, [192, 0, 2, 7]), [0, 0]);
    }

    #[test]
    fn a_prefix_of_ipv6_is_cut_in_either_half() {
        let address: std::net::IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let v6 = |length| limit(0, length).network(6, &address.into());
        assert_eq!(v6(128), [0x2001_0db8_0001_0002, 0x0003_0004_0005_0006]);
        assert_eq!(v6(112), [0x2001_0db8_0001_0002, 0x0003_0004_0005_0000]);
        assert_eq!(v6(64), [0x2001_0db8_0001_0002, 0]);
        assert_eq!(v6(48), [0x2001_0db8_0001_0000, 0]);
        assert_eq!(v6(0), [0, 0]);
    }
}
