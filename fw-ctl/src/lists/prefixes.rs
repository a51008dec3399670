//! Prefixes by the million: sorted, 16 bytes for one of IPv4, 32 for one of IPv6.

use std::net::IpAddr;

use ipnet::IpNet;

use super::moment::{Moment, NEVER};
use crate::ranges::{Number, Range, joined};

/// One prefix, with its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<N> {
    /// The first address.
    pub first: N,
    /// It means nobody from then on.
    pub until: Moment,
    /// Where it was written, from 1; 0: nowhere.
    pub line: u32,
    /// Leading bits that count.
    pub length: u8,
}

impl<N: Number> Entry<N> {
    /// All of its addresses.
    #[must_use]
    pub fn range(&self) -> Range<N> {
        self.first.around(self.length)
    }

    /// It as a prefix.
    ///
    /// # Panics
    /// Never: the length was checked when it was read.
    #[must_use]
    pub fn prefix(&self) -> IpNet {
        IpNet::new(self.first.address(), self.length)
            .expect("a length was compared with the family's when it was read")
    }

    fn key(&self) -> (N, u8) {
        (self.first, self.length)
    }
}

/// The families, as type parameters.
pub trait Family: Number {
    /// The entries of this family.
    fn entries(prefixes: &Prefixes) -> &[Entry<Self>];
}

impl Family for u32 {
    fn entries(prefixes: &Prefixes) -> &[Entry<Self>] {
        &prefixes.v4
    }
}

impl Family for u128 {
    fn entries(prefixes: &Prefixes) -> &[Entry<Self>] {
        &prefixes.v6
    }
}

/// Prefixes of both families, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// Sorted by address, outer ones before inner ones.
    v4: Vec<Entry<u32>>,
    /// The same.
    v6: Vec<Entry<u128>>,
    /// When entries expire: sorted, each moment once.
    expiries: Vec<Moment>,
}

impl Prefixes {
    /// Of entries whose bits behind the length are zero, in any order. Of one prefix
    /// the entry counts that lasts longest, and of those the first.
    #[must_use]
    pub fn new(v4: Vec<Entry<u32>>, v6: Vec<Entry<u128>>) -> Self {
        let (v4, v6) = (sorted(v4), sorted(v6));
        let mut expiries: Vec<Moment> = Vec::new();
        let moments = v4.iter().map(|entry| entry.until);
        for until in moments.chain(v6.iter().map(|entry| entry.until)) {
            // Most follow others of the same date.
            if until != NEVER && expiries.last() != Some(&until) {
                expiries.push(until);
            }
        }
        expiries.sort_unstable();
        expiries.dedup();
        expiries.shrink_to_fit();
        Self { v4, v6, expiries }
    }

    /// Of prefixes that never expire, with their lines.
    pub fn of(prefixes: impl IntoIterator<Item = (IpNet, u32)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, line) in prefixes {
            let (until, length) = (NEVER, prefix.prefix_len());
            match prefix.trunc() {
                IpNet::V4(net) => v4.push(Entry {
                    first: net.addr().to_bits(),
                    until,
                    line,
                    length,
                }),
                IpNet::V6(net) => v6.push(Entry {
                    first: net.addr().to_bits(),
                    until,
                    line,
                    length,
                }),
            }
        }
        Self::new(v4, v6)
    }

    /// These and others.
    #[must_use]
    pub(super) fn and(&self, others: &Self) -> Self {
        Self::new(
            [&self.v4[..], &others.v4].concat(),
            [&self.v6[..], &others.v6].concat(),
        )
    }

    /// The same, written nowhere: of line 0.
    #[must_use]
    pub fn nowhere(&self) -> Self {
        let mut same = self.clone();
        same.v4.iter_mut().for_each(|entry| entry.line = 0);
        same.v6.iter_mut().for_each(|entry| entry.line = 0);
        same
    }

    /// Every prefix with the moment at which it expires.
    pub(super) fn dated(&self) -> impl Iterator<Item = (IpNet, Moment)> {
        let v4 = self.v4.iter().map(|entry| (entry.prefix(), entry.until));
        let v6 = self.v6.iter().map(|entry| (entry.prefix(), entry.until));
        v4.chain(v6)
    }

    /// When the last of those with a date expires.
    pub(super) fn last_expiry(&self) -> Option<Moment> {
        self.expiries.last().copied()
    }

    /// How many there are, expired or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many have not expired.
    #[must_use]
    pub fn count(&self, now: Moment) -> usize {
        if self.expired(now) == 0 {
            return self.len();
        }
        live(&self.v4, now).count() + live(&self.v6, now).count()
    }

    /// Whether they hold every address of a family.
    #[must_use]
    pub fn mean_everybody(&self, now: Moment) -> bool {
        self.ranges::<u32>(now) == [(0, u32::MAX)] || self.ranges::<u128>(now) == [(0, u128::MAX)]
    }

    /// Every prefix that has not expired, with its line.
    pub fn iter(&self, now: Moment) -> impl Iterator<Item = (IpNet, u32)> {
        let v4 = live(&self.v4, now).map(|entry| (entry.prefix(), entry.line));
        let v6 = live(&self.v6, now).map(|entry| (entry.prefix(), entry.line));
        v4.chain(v6)
    }

    /// The addresses of one family that a prefix holds which has not expired: sorted
    /// ranges apart from each other.
    #[must_use]
    pub fn ranges<N: Family>(&self, now: Moment) -> Vec<Range<N>> {
        let entries = N::entries(self);
        let mut ranges = Vec::with_capacity(entries.len());
        ranges.extend(live(entries, now).map(Entry::range));
        joined(ranges)
    }

    /// The longest prefix that holds an address and has not expired, with its line.
    #[must_use]
    pub fn find(&self, address: IpAddr, now: Moment) -> Option<(IpNet, u32)> {
        match address.to_canonical() {
            IpAddr::V4(address) => longest(&self.v4, address.to_bits(), now),
            IpAddr::V6(address) => longest(&self.v6, address.to_bits(), now),
        }
    }

    /// The last moment up to `now` at which an entry expired; 0 if none did. What has
    /// expired is the same from then to `now`.
    #[must_use]
    pub fn expired(&self, now: Moment) -> Moment {
        let count = self.expiries.partition_point(|until| *until <= now);
        count.checked_sub(1).map_or(0, |last| self.expiries[last])
    }

    /// The next moment after `now` at which an entry expires.
    #[must_use]
    pub fn expires(&self, now: Moment) -> Option<Moment> {
        let count = self.expiries.partition_point(|until| *until <= now);
        self.expiries.get(count).copied()
    }
}

fn sorted<N: Number>(mut entries: Vec<Entry<N>>) -> Vec<Entry<N>> {
    // Those that came first come first, for `dedup_by`; most lists are sorted.
    if !entries.is_sorted_by_key(Entry::key) {
        entries.sort_by_key(Entry::key);
    }
    entries.dedup_by(|next, kept| {
        let twice = next.key() == kept.key();
        if twice && next.until > kept.until {
            *kept = *next;
        }
        twice
    });
    entries.shrink_to_fit();
    entries
}

fn live<N>(entries: &[Entry<N>], now: Moment) -> impl Iterator<Item = &Entry<N>> {
    entries.iter().filter(move |entry| entry.until > now)
}

fn longest<N: Number>(entries: &[Entry<N>], address: N, now: Moment) -> Option<(IpNet, u32)> {
    (0..=N::BITS).rev().find_map(|length| {
        let key = (address.around(length).0, length);
        let at = entries.binary_search_by_key(&key, Entry::key).ok()?;
        let entry = &entries[at];
        (entry.until > now).then(|| (entry.prefix(), entry.line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: u32, length: u8, until: Moment, line: u32) -> Entry<u32> {
        Entry {
            first,
            until,
            line,
            length,
        }
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn of_one_prefix_the_entry_that_lasts_longest_counts() {
        let prefixes = Prefixes::new(
            vec![
                entry(7, 32, 20, 1),
                entry(7, 32, NEVER, 2),
                entry(7, 32, NEVER, 3),
                entry(0, 24, 10, 4),
                entry(0, 24, 5, 5),
            ],
            Vec::new(),
        );
        assert_eq!(prefixes.v4, [entry(0, 24, 10, 4), entry(7, 32, NEVER, 2)]);
        assert_eq!(prefixes.expiries, [10]);
    }

    #[test]
    fn what_has_expired_holds_nobody() {
        let prefixes = Prefixes::new(
            vec![
                entry(0, 24, 10, 1),
                entry(7, 32, 30, 2),
                entry(9, 32, NEVER, 3),
            ],
            Vec::new(),
        );
        let found = |address: u32, now| prefixes.find(address.address(), now);
        assert_eq!(found(7, 9), Some((net("0.0.0.7/32"), 2)));
        assert_eq!(found(8, 9), Some((net("0.0.0.0/24"), 1)));
        assert_eq!(found(8, 10), None, "it ends as that second begins");
        assert_eq!(found(9, NEVER - 1), Some((net("0.0.0.9/32"), 3)));
        assert_eq!(prefixes.ranges::<u32>(9), [(0, 255)]);
        assert_eq!(prefixes.ranges::<u32>(10), [(7, 7), (9, 9)]);
        assert_eq!(
            prefixes.iter(30).collect::<Vec<_>>(),
            [(net("0.0.0.9/32"), 3)]
        );
        let moments = [9, 10, 29, 30, 31].map(|now| (prefixes.expired(now), prefixes.expires(now)));
        assert_eq!(
            moments,
            [
                (0, Some(10)),
                (10, Some(30)),
                (10, Some(30)),
                (30, None),
                (30, None)
            ]
        );
    }

    #[test]
    fn both_families_are_found_and_mapped_addresses_are_ipv4() {
        let list = ["10.0.0.0/8", "2001:db8::/32", "2001:db8::1/128", "::/0"];
        let prefixes = Prefixes::of((1..).zip(list).map(|(line, text)| (net(text), line)));
        let line = |address: &str| {
            let found = prefixes.find(address.parse().unwrap(), 0);
            found.map(|(_, line)| line)
        };
        assert_eq!(line("10.1.2.3"), Some(1));
        assert_eq!(line("::ffff:10.1.2.3"), Some(1));
        assert_eq!(line("11.1.2.3"), None);
        assert_eq!(line("2001:db8::1"), Some(3));
        assert_eq!(line("2001:db8::2"), Some(2));
        assert_eq!(line("2001:db9::"), Some(4));
        assert_eq!(prefixes.ranges::<u128>(0), [(0, u128::MAX)]);
    }
}
