//! What makes one cut of the address space another one, if it is only a few addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Runs;
use crate::ranges::{Number, push};

impl Runs {
    /// The addresses that are of another class in `new`, with that class; `None` if
    /// there are more than `most` of them.
    #[must_use]
    pub fn differences(&self, new: &Self, most: usize) -> Option<Vec<(IpAddr, u16)>> {
        let mut found = Vec::new();
        differences(&self.v4, &new.v4, most, |address, class| {
            found.push((Ipv4Addr::from_bits(address).into(), class));
        })?;
        let most = most - found.len();
        differences(&self.v6, &new.v6, most, |address, class| {
            found.push((Ipv6Addr::from_bits(address).into(), class));
        })?;
        Some(found)
    }

    /// The same with other classes for single addresses.
    #[must_use]
    pub fn with(&self, singles: &BTreeMap<IpAddr, u16>) -> Self {
        let v4 = singles.iter().filter_map(|(address, class)| match address {
            IpAddr::V4(v4) => Some((v4.to_bits(), *class)),
            IpAddr::V6(_) => None,
        });
        let v6 = singles.iter().filter_map(|(address, class)| match address {
            IpAddr::V6(v6) => Some((v6.to_bits(), *class)),
            IpAddr::V4(_) => None,
        });
        Self {
            v4: with(&self.v4, v4),
            v6: with(&self.v6, v6),
        }
    }
}

/// Tells `found` of each address whose class differs; `None` after `most`.
fn differences<N: Number>(
    old: &[(N, u16)],
    new: &[(N, u16)],
    most: usize,
    mut found: impl FnMut(N, u16),
) -> Option<()> {
    let mut left = most;
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let (mut old_class, mut new_class) = (0, 0);
    loop {
        let begins = match (old.peek(), new.peek()) {
            (Some(one), Some(other)) => one.0.min(other.0),
            (Some(run), None) | (None, Some(run)) => run.0,
            (None, None) => return Some(()),
        };
        if let Some(run) = old.next_if(|run| run.0 == begins) {
            old_class = run.1;
        }
        if let Some(run) = new.next_if(|run| run.0 == begins) {
            new_class = run.1;
        }
        if old_class == new_class {
            continue;
        }
        let end = [old.peek(), new.peek()].into_iter().flatten();
        let end = end.map(|run| run.0).min();
        let mut address = Some(begins);
        while let Some(here) = address.filter(|here| Some(*here) != end) {
            left = left.checked_sub(1)?;
            found(here, new_class);
            address = here.next();
        }
    }
}

/// Runs with other classes for single addresses, which ascend.
fn with<N: Number>(runs: &[(N, u16)], singles: impl Iterator<Item = (N, u16)>) -> Vec<(N, u16)> {
    let mut singles = singles.peekable();
    let mut all = Vec::with_capacity(runs.len());
    for (place, (first, class)) in runs.iter().enumerate() {
        push(&mut all, *first, *class);
        let end = runs.get(place + 1).map(|run| run.0);
        while let Some((address, own)) =
            singles.next_if(|single| end.is_none_or(|end| single.0 < end))
        {
            push(&mut all, address, own);
            if let Some(behind) = address.next().filter(|next| Some(*next) != end) {
                push(&mut all, behind, *class);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(prefixes: &[(&str, u16)]) -> Runs {
        let mut peers: Vec<_> = prefixes
            .iter()
            .map(|(prefix, class)| (prefix.parse().unwrap(), *class))
            .collect();
        peers.sort();
        Runs::of(&peers)
    }

    const BASE: [(&str, u16); 3] = [("0.0.0.0/0", 1), ("10.0.0.0/8", 2), ("::/0", 1)];

    #[test]
    fn single_addresses_that_differ_are_found() {
        let old = runs(&BASE);
        let more = [
            ("0.0.0.0/32", 3),
            ("10.0.0.0/32", 4),
            ("10.255.255.254/31", 5),
            ("255.255.255.255/32", 6),
            ("::/128", 7),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 8),
        ];
        let new = runs(&[&BASE[..], &more].concat());
        let found = old.differences(&new, 7).unwrap();
        let expected = [
            ("0.0.0.0", 3),
            ("10.0.0.0", 4),
            ("10.255.255.254", 5),
            ("10.255.255.255", 5),
            ("255.255.255.255", 6),
            ("::", 7),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 8),
        ];
        assert_eq!(
            found,
            expected.map(|(text, class)| (text.parse().unwrap(), class))
        );
        assert_eq!(old.differences(&new, 6), None);
        assert_eq!(old.with(&found.into_iter().collect()), new);
        assert_eq!(new.differences(&old, 7).unwrap().len(), 7);
    }

    #[test]
    fn what_is_no_single_address_is_too_much() {
        let old = runs(&BASE);
        for more in [("10.1.0.0/16", 3), ("2001:db8::/64", 3), ("::/0", 2)] {
            let mut prefixes: Vec<_> = BASE.into_iter().filter(|p| p.0 != more.0).collect();
            prefixes.push(more);
            assert_eq!(old.differences(&runs(&prefixes), 4_096), None, "{more:?}");
        }
        assert_eq!(old.differences(&old, 0), Some(vec![]));
    }

    /// Runs over 32 addresses at either end of the address space.
    fn cut() -> impl Strategy<Value = Vec<(u32, u16)>> {
        prop::collection::vec(0..4_u16, 32).prop_map(|classes| {
            let mut all = Vec::new();
            for (place, class) in (0_u32..).zip(classes) {
                let address = if place < 16 {
                    place
                } else {
                    u32::MAX - 31 + place
                };
                push(&mut all, address, class);
            }
            all
        })
    }

    proptest! {
        #[test]
        fn the_differences_make_the_one_the_other(old in cut(), new in cut()) {
            // Between the two ends all are of one class, or they differ by too much.
            let [mut old, mut new] = [old, new].map(|mut v4| {
                let at = v4.partition_point(|run| run.0 < 16);
                v4.retain(|run| run.0 != 16);
                v4.insert(at, (16, 9));
                v4
            });
            for runs in [&mut old, &mut new] {
                runs.dedup_by_key(|run| run.1);
            }
            let [old, new] = [old, new].map(|v4| Runs { v4, v6: vec![(0, 0)] });
            let found = old.differences(&new, 64).unwrap();
            prop_assert_eq!(old.with(&found.into_iter().collect()), new);
        }
    }
}
