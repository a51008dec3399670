//! Single addresses beside the tables of a plan: what changes too often to make a
//! plan of it.
//!
//! Who is in such a table is in a hash map, which the kernel replaces entry by entry.
//! In front of it is a filter, one bit for each value of [`Address::spot`], set if any
//! address of the table has that value: so nearly every packet learns from one load,
//! without a call, that its peer is not there (Bloom 1970, with one hash function).

use super::Address;

/// Addresses that a table can hold.
pub const SINGLES: u32 = 65_536;
/// Words of 64 bits of a filter; a power of two. The bits are sixteen times as many as
/// the addresses, so that a full table makes one packet in sixteen ask in vain.
pub const FILTER_WORDS: u32 = SINGLES * 16 / 64;

/// The end of a ban that has none.
pub const BAN_FOR_GOOD: u64 = 0;

/// Whether a ban until `until` holds; both in nanoseconds of the monotonic clock.
#[inline(always)]
#[must_use]
pub const fn ban_holds(until: u64, now: u64) -> bool {
    until == BAN_FOR_GOOD || now < until
}

/// Where a filter has the bit of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The word, below [`FILTER_WORDS`].
    pub word: u32,
    /// The bit in it, as a mask.
    pub mask: u64,
}

impl Address {
    /// Where a filter has its bit.
    #[inline(always)]
    #[must_use]
    pub const fn spot(&self) -> Spot {
        let bits = self.mixed();
        Spot {
            word: bits >> (32 - FILTER_WORDS.trailing_zeros()),
            mask: 1 << (bits >> (26 - FILTER_WORDS.trailing_zeros()) & 63),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_have_bits_of_their_own() {
        let mut seen = std::collections::BTreeSet::new();
        for last in 0..=255 {
            let spot = Address::v4([192, 0, 2, last]).spot();
            assert!(spot.word < FILTER_WORDS && spot.mask.is_power_of_two());
            seen.insert(spot);
        }
        assert!(seen.len() > 250, "{} of 256", seen.len());
    }
}
