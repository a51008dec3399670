//! Sets of addresses of both families.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::ranges::{Number, Range, common, joined, without};

/// Addresses of both families: sorted ranges apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Addresses {
    /// IPv4.
    pub v4: Vec<Range<u32>>,
    /// IPv6.
    pub v6: Vec<Range<u128>>,
}

impl Addresses {
    /// All there are.
    #[must_use]
    pub fn all() -> Self {
        Self {
            v4: vec![(0, u32::MAX)],
            v6: vec![(0, u128::MAX)],
        }
    }

    /// What prefixes hold.
    #[must_use]
    pub fn of(prefixes: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            v4.extend(u32::range_of(&prefix));
            v6.extend(u128::range_of(&prefix));
        }
        Self {
            v4: joined(v4),
            v6: joined(v6),
        }
    }

    /// What is in one of them.
    #[must_use]
    pub fn union<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.v4.extend(&part.v4);
            all.v6.extend(&part.v6);
        }
        Self {
            v4: joined(all.v4),
            v6: joined(all.v6),
        }
    }

    /// What is in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self {
            v4: common(&self.v4, &other.v4),
            v6: common(&self.v6, &other.v6),
        }
    }

    /// What is not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            v4: without(&self.v4, &other.v4),
            v6: without(&self.v6, &other.v6),
        }
    }

    /// Whether it holds nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether it holds somebody, and all of them are in the other, too.
    pub(super) fn lies_in(&self, other: &Self) -> bool {
        !self.is_empty() && self.without(other).is_empty()
    }

    /// What is in a prefix, without a look at all the others.
    pub(super) fn within(&self, whole: &IpNet) -> Self {
        fn clipped<N: Number>(ranges: &[Range<N>], whole: &IpNet) -> Vec<Range<N>> {
            let Some((first, last)) = N::range_of(whole) else {
                return Vec::new();
            };
            let begin = ranges.partition_point(|range| range.1 < first);
            let end = ranges.partition_point(|range| range.0 <= last);
            let inside = ranges[begin..end].iter();
            let clipped = inside.map(|range| (range.0.max(first), range.1.min(last)));
            clipped.collect()
        }
        Self {
            v4: clipped(&self.v4, whole),
            v6: clipped(&self.v6, whole),
        }
    }

    /// Whether an address is among them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => contains(&self.v4, address.to_bits()),
            IpAddr::V6(address) => contains(&self.v6, address.to_bits()),
        }
    }

    /// The same as prefixes, as few as can be.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.iter().flat_map(|(first, last)| {
            Ipv4Subnets::new((*first).into(), (*last).into(), 0).map(IpNet::V4)
        });
        let v6 = self.v6.iter().flat_map(|(first, last)| {
            Ipv6Subnets::new((*first).into(), (*last).into(), 0).map(IpNet::V6)
        });
        v4.chain(v6)
    }
}

fn contains<N: Number>(ranges: &[Range<N>], address: N) -> bool {
    let at = ranges.partition_point(|range| range.1 < address);
    ranges.get(at).is_some_and(|range| range.0 <= address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prefixes: &[&str]) -> Addresses {
        Addresses::of(prefixes.iter().map(|prefix| prefix.parse().unwrap()))
    }

    fn texts(addresses: &Addresses) -> Vec<String> {
        addresses.prefixes().map(|net| net.to_string()).collect()
    }

    #[test]
    fn as_few_prefixes_as_can_be() {
        assert_eq!(texts(&Addresses::all()), ["0.0.0.0/0", "::/0"]);
        let halves = of(&["10.0.0.0/9", "10.128.0.0/9", "2001:db8::/128"]);
        assert_eq!(texts(&halves), ["10.0.0.0/8", "2001:db8::/128"]);
        let left = halves.without(&of(&["10.0.0.0/31"]));
        assert_eq!(texts(&left)[..2], ["10.0.0.2/31", "10.0.0.4/30"]);
        assert!(left.lies_in(&halves) && !halves.lies_in(&left));
        assert!(!Addresses::default().lies_in(&halves), "there is nobody");
    }

    #[test]
    fn what_is_in_a_prefix() {
        let some = of(&[
            "10.0.0.0/8",
            "192.0.2.7/32",
            "192.0.2.9/32",
            "2001:db8::/32",
        ]);
        for (whole, expected) in [
            ("10.1.0.0/16", &["10.1.0.0/16"][..]),
            ("8.0.0.0/5", &["10.0.0.0/8"]),
            ("192.0.2.0/24", &["192.0.2.7/32", "192.0.2.9/32"]),
            ("192.0.3.0/24", &[]),
            ("::/0", &["2001:db8::/32"]),
        ] {
            assert_eq!(texts(&some.within(&whole.parse().unwrap())), expected);
        }
    }

    #[test]
    fn who_is_among_them() {
        let some = of(&["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
        for (address, is_in) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("::ffff:10.255.255.255", true),
            ("11.0.0.0", false),
            ("192.0.2.7", true),
            ("255.255.255.255", false),
            ("2001:db8::1", true),
            ("2001:db9::", false),
        ] {
            assert_eq!(some.contains(address.parse().unwrap()), is_in, "{address}");
        }
    }
}
