//! Sets of addresses as sorted ranges, in linear time.
//!
//! Prefixes nest, and lists of them overlap; ranges that are sorted and apart do
//! neither, so that a million of them are joined, cut and looked up by merging.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The addresses from the first one to the last one, both meant.
pub type Range<N> = (N, N);

/// An address as a number.
pub trait Number: Copy + Ord + Default {
    /// Bits of an address.
    const BITS: u8;
    /// The next one, if this is not the last.
    fn next(self) -> Option<Self>;
    /// The one before, if this is not the first.
    fn before(self) -> Option<Self>;
    /// The first and the last address of the prefix of this `length` around it.
    fn around(self, length: u8) -> Range<Self>;
    /// The range of a prefix, if it is of this family.
    fn range_of(prefix: &IpNet) -> Option<Range<Self>>;
    /// As an address.
    fn address(self) -> IpAddr;
}

macro_rules! number {
    ($number:ty, $address:ty, $family:pat => $net:ident) => {
        impl Number for $number {
            const BITS: u8 = <$number>::BITS as u8;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }

            fn around(self, length: u8) -> Range<Self> {
                let hosts = Self::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                (self & !hosts, self | hosts)
            }

            fn range_of(prefix: &IpNet) -> Option<Range<Self>> {
                if let $family = prefix {
                    Some(($net.network().to_bits(), $net.broadcast().to_bits()))
                } else {
                    None
                }
            }

            fn address(self) -> IpAddr {
                <$address>::from_bits(self).into()
            }
        }
    };
}

number!(u32, Ipv4Addr, IpNet::V4(net) => net);
number!(u128, Ipv6Addr, IpNet::V6(net) => net);

/// The same addresses in as few ranges as possible, sorted and apart.
#[must_use]
pub fn joined<N: Number>(mut ranges: Vec<Range<N>>) -> Vec<Range<N>> {
    if !ranges.is_sorted_by_key(|range| range.0) {
        ranges.sort_unstable_by_key(|range| range.0);
    }
    ranges.dedup_by(|next, last| {
        let touches = last.1.next().is_none_or(|behind| next.0 <= behind);
        if touches {
            last.1 = last.1.max(next.1);
        }
        touches
    });
    ranges
}

/// The addresses of `ranges` that are in none of the `holes`; both must be sorted
/// and apart, as [`joined`] makes them.
#[must_use]
pub fn without<N: Number>(ranges: &[Range<N>], holes: &[Range<N>]) -> Vec<Range<N>> {
    let mut left = Vec::with_capacity(ranges.len());
    let mut holes = holes;
    for &(first, last) in ranges {
        // A hole may go on behind a range, so it is taken off only with the last
        // range that it can touch.
        let gone = holes.partition_point(|hole| hole.1 < first);
        holes = &holes[gone..];
        let mut begins = Some(first);
        for hole in holes.iter().take_while(|hole| hole.0 <= last) {
            if let (Some(begin), Some(end)) = (begins, hole.0.before())
                && begin <= end
            {
                left.push((begin, end));
            }
            begins = hole.1.next();
        }
        if let Some(begin) = begins
            && begin <= last
        {
            left.push((begin, last));
        }
    }
    left
}

/// The addresses that are in both; both must be sorted and apart.
#[must_use]
pub fn common<N: Number>(one: &[Range<N>], two: &[Range<N>]) -> Vec<Range<N>> {
    let mut both = Vec::new();
    let (mut ones, mut twos) = (one, two);
    while let ([a, more_ones @ ..], [b, more_twos @ ..]) = (ones, twos) {
        let (first, last) = (a.0.max(b.0), a.1.min(b.1));
        if first <= last {
            both.push((first, last));
        }
        if a.1 <= b.1 {
            ones = more_ones;
        } else {
            twos = more_twos;
        }
    }
    both
}

/// The addresses of `runs`, which begin with address 0, with the last address of each.
pub fn spans<N: Number, V: Copy>(runs: &[(N, V)]) -> impl Iterator<Item = (Range<N>, V)> {
    let ends = runs.iter().skip(1).map(|run| run.0.before());
    let end = N::default().around(0).1;
    let ends = ends.map(move |last| last.unwrap_or(end)).chain([end]);
    runs.iter()
        .zip(ends)
        .map(|((first, value), last)| ((*first, last), *value))
}

/// All addresses, cut where the value of the longest prefix changes: the first
/// address of each run and its value, ascending from address 0. Neighbours differ.
/// `prefixes` are ranges that nest as prefixes do, outer ones first; `outside` is
/// the value of what none of them holds.
pub fn longest<N: Number, V: Copy + PartialEq>(
    outside: V,
    prefixes: impl IntoIterator<Item = (Range<N>, V)>,
) -> Vec<(N, V)> {
    let mut runs = vec![(N::default(), outside)];
    // The prefixes around the present one: last address and value.
    let mut around: Vec<(N, V)> = Vec::new();
    let end = |runs: &mut Vec<(N, V)>, around: &[(N, V)], last: N| {
        if let Some(behind) = last.next() {
            push(runs, behind, around.last().map_or(outside, |outer| outer.1));
        }
    };
    for ((first, last), value) in prefixes {
        while let Some((ended, _)) = around.pop_if(|outer| outer.0 < first) {
            end(&mut runs, &around, ended);
        }
        push(&mut runs, first, value);
        around.push((last, value));
    }
    while let Some((ended, _)) = around.pop() {
        end(&mut runs, &around, ended);
    }
    runs
}

/// Begins a run behind the others; one that began at the same address was empty.
pub fn push<N: Number, V: PartialEq>(runs: &mut Vec<(N, V)>, first: N, value: V) {
    runs.pop_if(|run| run.0 == first);
    if runs.last().is_none_or(|run| run.1 != value) {
        runs.push((first, value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_that_touch_or_overlap_are_one() {
        let ranges = vec![
            (20, 29),
            (0, 9),
            (10, 10),
            (22, 23),
            (28, 40),
            (50, u32::MAX),
        ];
        assert_eq!(joined(ranges), [(0, 10), (20, 40), (50, u32::MAX)]);
        assert_eq!(joined(vec![(0, u32::MAX), (7, 9)]), [(0, u32::MAX)]);
        assert_eq!(joined::<u32>(vec![]), []);
    }

    #[test]
    fn prefixes_have_their_first_and_last_address() {
        assert_eq!(0x0a01_0203_u32.around(8), (0x0a00_0000, 0x0aff_ffff));
        assert_eq!(7_u32.around(32), (7, 7));
        assert_eq!(7_u32.around(0), (0, u32::MAX));
        assert_eq!(7_u128.around(0), (0, u128::MAX));
        assert_eq!(7_u128.around(126), (4, 7));
    }

    /// The members among the first 64 addresses.
    fn members(ranges: &[Range<u32>]) -> Vec<u32> {
        let inside = |n: &u32| ranges.iter().any(|range| range.0 <= *n && *n <= range.1);
        (0..64).filter(inside).collect()
    }

    fn some() -> impl Strategy<Value = Vec<Range<u32>>> {
        vec((0_u32..60, 0_u32..8), 0..8)
            .prop_map(|parts| parts.into_iter().map(|(a, more)| (a, a + more)).collect())
    }

    proptest! {
        #[test]
        fn joining_and_cutting_keep_to_the_members(ranges in some(), holes in some()) {
            let (one, two) = (joined(ranges.clone()), joined(holes.clone()));
            prop_assert_eq!(members(&one), members(&ranges));
            prop_assert!(one.is_sorted_by(|a, b| a.1 + 1 < b.0));
            let left = without(&one, &two);
            let mut expected = members(&ranges);
            expected.retain(|n| !members(&holes).contains(n));
            prop_assert_eq!(members(&left), expected);
            prop_assert!(left.is_sorted_by(|a, b| a.1 < b.0));
            let mut expected = members(&ranges);
            expected.retain(|n| members(&holes).contains(n));
            prop_assert_eq!(members(&common(&one, &two)), expected);
        }
    }

    #[test]
    fn runs_end_where_the_next_begins() {
        let found: Vec<_> = spans(&[(0_u32, 'a'), (7, 'b'), (u32::MAX, 'c')]).collect();
        let expected = [
            ((0, 6), 'a'),
            ((7, u32::MAX - 1), 'b'),
            ((u32::MAX, u32::MAX), 'c'),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn holes_at_the_ends_of_the_address_space() {
        let all = [(0, u32::MAX)];
        assert_eq!(
            without(&all, &[(0, 4), (u32::MAX, u32::MAX)]),
            [(5, u32::MAX - 1)]
        );
        assert_eq!(without(&all, &all), []);
        assert_eq!(without(&[(1_u32, 2), (4, 9)], &[(0, 5)]), [(6, 9)]);
    }
}
