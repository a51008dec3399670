//! Lists of prefixes like those that people block, and addresses inside and outside.
//!
//! Made by a generator of random numbers with a fixed seed: the same on each machine.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sandbox::Family;

/// Random numbers: `SplitMix64` (Steele, Lea & Flood 2014), small and reproducible.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `count`.
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(count)) >> 64) as u64
    }
}

/// `count` disjoint prefixes: 60 % single addresses, 25 % /24 (IPv6: /64), the rest
/// of lengths between (IPv6: shorter ones, too), all within the block from which
/// random sources come. Sorted.
#[must_use]
pub fn prefixes(family: Family, count: usize) -> Vec<IpNet> {
    let mut random = Random::new(count as u64);
    let mut list = BTreeSet::new();
    while list.len() < count {
        let mut wanted = count - list.len();
        // One by one would sort out nothing; so many at once are rarely too many.
        while wanted > 0 {
            list.insert(prefix(family, &mut random));
            wanted -= 1;
        }
        list = disjoint(list);
    }
    list.into_iter().collect()
}

fn prefix(family: Family, random: &mut Random) -> IpNet {
    let kind = random.below(100);
    match family {
        Family::V4 => {
            let length = match kind {
                0..60 => 32,
                60..85 => 24,
                _ => 25 + random.below(6) as u8,
            };
            let address = Ipv4Addr::from(0x2000_0000 | (random.word() as u32 >> 3));
            Ipv4Net::new_assert(address, length).trunc().into()
        }
        Family::V6 => {
            let length = match kind {
                0..60 => 128,
                60..85 => 64,
                // Whole blocks are rare: a few would hold all the others.
                _ if random.below(1_000) == 0 => 32,
                _ => [40, 48, 56][random.below(3) as usize],
            };
            // Clustered as assignments are: some ten thousand blocks of 32 bits.
            let block = 0x2400_0000 | random.below(65_536) as u32;
            let rest = (u128::from(random.word()) << 64 | u128::from(random.word())) >> 32;
            let address = Ipv6Addr::from(u128::from(block) << 96 | rest);
            Ipv6Net::new_assert(address, length).trunc().into()
        }
    }
}

/// Without prefixes that are part of another one.
fn disjoint(list: BTreeSet<IpNet>) -> BTreeSet<IpNet> {
    // In order, a prefix stands before everything that it contains.
    let mut last: Option<IpNet> = None;
    list.into_iter()
        .filter(|prefix| {
            let free = !last.is_some_and(|last| last.contains(prefix));
            if free {
                last = Some(*prefix);
            }
            free
        })
        .collect()
}

/// For each prefix an address inside of it.
#[must_use]
pub fn inside(list: &[IpNet]) -> Vec<IpAddr> {
    let mut random = Random::new(1);
    list.iter()
        .map(|prefix| match prefix {
            IpNet::V4(net) => {
                let host = random.word() as u32 & net.hostmask().to_bits();
                Ipv4Addr::from(net.network().to_bits() | host).into()
            }
            IpNet::V6(net) => {
                let host = u128::from(random.word()) & net.hostmask().to_bits();
                Ipv6Addr::from(net.network().to_bits() | host).into()
            }
        })
        .collect()
}

/// `count` addresses from the same block as the list's, in none of its prefixes.
/// The list must be sorted and disjoint, as [`prefixes`] makes it.
#[must_use]
pub fn outside(list: &[IpNet], family: Family, count: usize) -> Vec<IpAddr> {
    let mut random = Random::new(2);
    let mut found = Vec::with_capacity(count);
    while found.len() < count {
        let address = prefix(family, &mut random).addr();
        let before = list.partition_point(|prefix| prefix.addr() <= address);
        let listed = before
            .checked_sub(1)
            .is_some_and(|last| list[last].contains(&address));
        if !listed {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_their_size_and_no_overlap() {
        for family in Family::BOTH {
            let list = prefixes(family, 5_000);
            assert_eq!(list.len(), 5_000);
            assert!(list.windows(2).all(|pair| !pair[0].contains(&pair[1])));
            assert_eq!(list, prefixes(family, 5_000), "not reproducible");
        }
    }

    #[test]
    fn the_largest_lists_have_room_in_their_block() {
        // Sets of this size are made once more only to replace what overlapped.
        for (family, count) in [(Family::V4, 1_000_000), (Family::V6, 500_000)] {
            let mut random = Random::new(3);
            let sample: BTreeSet<_> = (0..count / 10)
                .map(|_| prefix(family, &mut random))
                .collect();
            let kept = disjoint(sample).len();
            assert!(
                kept * 10 > count / 10 * 9,
                "{family}: {kept} of {}",
                count / 10
            );
        }
    }

    #[test]
    fn addresses_are_inside_and_outside() {
        for family in Family::BOTH {
            let list = prefixes(family, 1_000);
            let inside = inside(&list);
            assert!(list.iter().zip(&inside).all(|(net, ip)| net.contains(ip)));
            let outside = outside(&list, family, 100);
            assert!(
                outside
                    .iter()
                    .all(|ip| !list.iter().any(|net| net.contains(ip)))
            );
        }
    }
}
