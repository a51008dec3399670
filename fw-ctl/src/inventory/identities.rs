//! From an address to the labels of who has it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::policy::label::{Label, LabelSet};

/// Prefixes with the labels of who is behind them. The longest prefix counts; an
/// address without entry is world, as in a dual-stack Cilium (`reserved:world-ipv4`,
/// `reserved:world-ipv6`).
#[derive(Clone, Debug)]
pub struct Identities {
    /// Sorted, none twice, always with both default routes.
    entries: Vec<(IpNet, Arc<LabelSet>)>,
    /// How many of the two default routes were not given.
    implied: usize,
}

impl Default for Identities {
    fn default() -> Self {
        Self::new([])
    }
}

impl Identities {
    /// Of equal prefixes the first counts. Host bits are masked off.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (IpNet, Arc<LabelSet>)>) -> Self {
        let mut entries: Vec<(IpNet, Arc<LabelSet>)> = entries
            .into_iter()
            .map(|(prefix, labels)| (prefix.trunc(), labels))
            .collect();
        let given = entries.len();
        let world = |key| Arc::new(LabelSet::from_iter([Label::reserved(key)]));
        entries.push((Ipv4Net::default().into(), world("world-ipv4")));
        entries.push((Ipv6Net::default().into(), world("world-ipv6")));
        let default_given = entries[..given]
            .iter()
            .map(|entry| entry.0)
            .filter(|prefix| prefix.prefix_len() == 0);
        let mut defaults: Vec<IpNet> = default_given.collect();
        defaults.sort_unstable();
        defaults.dedup();
        // Stable, so that of equal prefixes the first stays first.
        entries.sort_by_key(|entry| entry.0);
        entries.dedup_by_key(|entry| entry.0);
        Self {
            entries,
            implied: 2 - defaults.len(),
        }
    }

    /// The labels of who has an address.
    ///
    /// # Panics
    /// Never: both default routes are always there.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> &Arc<LabelSet> {
        longest_prefix(&self.entries, address).expect("both default routes are always there")
    }

    /// Every entry, sorted, with the two default routes of world.
    pub fn entries_with_world(&self) -> impl Iterator<Item = (IpNet, &LabelSet)> {
        self.entries
            .iter()
            .map(|(prefix, labels)| (*prefix, labels.as_ref()))
    }

    /// Number of entries that somebody wrote or that an object gave.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.implied
    }

    /// Whether nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The value of the longest prefix that holds an address. The table is sorted by
/// prefix (`IpNet`'s order) and has no prefix twice.
///
/// # Panics
/// Never: the lengths that are tried are those of the family.
#[must_use]
pub fn longest_prefix<T>(table: &[(IpNet, T)], address: IpAddr) -> Option<&T> {
    let address = address.to_canonical();
    let full = IpNet::from(address);
    (0..=full.prefix_len()).rev().find_map(|length| {
        let prefix = IpNet::new(address, length)
            .expect("the length is at most that of the family")
            .trunc();
        let at = table.binary_search_by_key(&prefix, |entry| entry.0).ok()?;
        Some(&table[at].1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Arc<LabelSet> {
        Arc::new([Label::parse(text)].into_iter().collect())
    }

    #[test]
    fn the_longest_prefix_counts_and_of_equal_ones_the_first() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let identities = Identities::new([
            (net("10.0.0.0/8"), labels("k8s:a")),
            (net("10.1.0.7/16"), labels("k8s:b")),
            (net("10.1.0.0/16"), labels("k8s:c")),
            (net("fd00::/8"), labels("k8s:d")),
        ]);
        for (address, expected) in [
            ("10.1.2.3", "k8s:b"),
            ("10.2.0.1", "k8s:a"),
            ("::ffff:10.2.0.1", "k8s:a"),
            ("11.0.0.1", "reserved:world-ipv4"),
            ("fd00::1", "k8s:d"),
            ("2001:db8::1", "reserved:world-ipv6"),
        ] {
            let found = identities.of(address.parse().unwrap());
            assert_eq!(found.to_string(), expected, "{address}");
        }
        assert_eq!(identities.len(), 3);
    }
}
