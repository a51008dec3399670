//! From an address to the labels of who has it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::place::{Objects, Place, Written};
use crate::policy::label::{Label, LabelSet};

/// What an object says of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The prefix, without host bits.
    pub prefix: IpNet,
    /// Who is behind it.
    pub labels: Arc<LabelSet>,
    /// Where it says so.
    pub place: Place,
}

/// What else is said of a prefix, beside the claim that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The prefix.
    pub prefix: IpNet,
    /// Where it is said.
    pub place: Place,
    /// What.
    pub how: How,
}

/// What is said beside the claim that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// That somebody has it: does not count, since another claim comes first.
    Claims(Arc<LabelSet>),
    /// That it is one of the API server's: a label more.
    ApiServer,
}

/// Prefixes with the labels of who is behind them. The longest prefix counts; an
/// address without entry is world, as in a dual-stack Cilium (`reserved:world-ipv4`,
/// `reserved:world-ipv6`).
#[derive(Clone, Debug)]
pub struct Identities {
    /// Sorted, none twice, always with both default routes.
    entries: Vec<(IpNet, Known)>,
    /// How many of the two default routes were not given.
    implied: usize,
    /// What else was said of the same prefixes, sorted by them.
    beside: Vec<Beside>,
    /// What places refer to.
    objects: Arc<Objects>,
}

#[derive(Clone, Debug)]
struct Known {
    labels: Arc<LabelSet>,
    place: Place,
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
        let claims = entries.into_iter().map(|(prefix, labels)| Claim {
            prefix,
            labels,
            place: Place::default(),
        });
        Self::of_claims(claims, Vec::new(), Arc::default())
    }

    /// The same, for who wants to know later where it was said. `beside` are claims that
    /// were weighed already.
    #[must_use]
    pub fn of_claims(
        claims: impl IntoIterator<Item = Claim>,
        mut beside: Vec<Beside>,
        objects: Arc<Objects>,
    ) -> Self {
        let mut entries: Vec<(IpNet, Known)> = claims
            .into_iter()
            .map(
                |Claim {
                     prefix,
                     labels,
                     place,
                 }| (prefix.trunc(), Known { labels, place }),
            )
            .collect();
        let given = entries.len();
        let world = |key| Known {
            labels: Arc::new(LabelSet::from_iter([Label::reserved(key)])),
            place: Place::default(),
        };
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
        entries.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same && later.1.place != first.1.place {
                beside.push(Beside {
                    prefix: later.0,
                    place: later.1.place,
                    how: How::Claims(Arc::clone(&later.1.labels)),
                });
            }
            same
        });
        beside.retain(|other| other.place != Place::default());
        beside.sort_by_key(|other| (other.prefix, other.place));
        beside.dedup();
        beside.shrink_to_fit();
        Self {
            entries,
            implied: 2 - defaults.len(),
            beside,
            objects,
        }
    }

    /// The labels of who has an address.
    ///
    /// # Panics
    /// Never: both default routes are always there.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> &Arc<LabelSet> {
        let known = longest_prefix(&self.entries, address);
        &known.expect("both default routes are always there").labels
    }

    /// Where it is written who has an address.
    #[must_use]
    pub fn written_of(&self, address: IpAddr) -> Option<Written<'_>> {
        let known = longest_prefix(&self.entries, address)?;
        self.objects.written(known.place)
    }

    /// The entry whose prefix is the longest around another one: its number in
    /// [`Self::entries_with_world`].
    ///
    /// # Panics
    /// Never: both default routes are always there.
    #[must_use]
    pub fn around(&self, prefix: IpNet) -> usize {
        let length = prefix.prefix_len();
        let at = longest_at(&self.entries, prefix.addr(), length);
        at.expect("both default routes are always there")
    }

    /// The entry of this number.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn entry(&self, number: usize) -> (IpNet, &LabelSet, Option<Written<'_>>) {
        let (prefix, known) = &self.entries[number];
        (*prefix, &known.labels, self.objects.written(known.place))
    }

    /// What else was said of a prefix, and did not count or only added to it.
    pub fn beside(&self, prefix: IpNet) -> impl Iterator<Item = (&How, Option<Written<'_>>)> {
        let from = self.beside.partition_point(|other| other.prefix < prefix);
        let others = self.beside[from..].iter();
        others
            .take_while(move |other| other.prefix == prefix)
            .map(|other| (&other.how, self.objects.written(other.place)))
    }

    /// Every entry, sorted, with the two default routes of world.
    pub fn entries_with_world(&self) -> impl Iterator<Item = (IpNet, &LabelSet)> {
        self.entries
            .iter()
            .map(|(prefix, known)| (*prefix, known.labels.as_ref()))
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
    let at = longest_at(table, address, IpNet::from(address).prefix_len())?;
    Some(&table[at].1)
}

/// Where the longest prefix stands that holds an address and is no longer than `most`.
fn longest_at<T>(table: &[(IpNet, T)], address: IpAddr, most: u8) -> Option<usize> {
    (0..=most).rev().find_map(|length| {
        let prefix = IpNet::new(address, length)
            .expect("the length is at most that of the family")
            .trunc();
        table.binary_search_by_key(&prefix, |entry| entry.0).ok()
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
