//! CIDR groups that rules name, and what they hold now.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Addresses;
use crate::policy::rules::{PeerSelector, Peers, RuleSet};
use crate::policy::schema::CidrGroup;

/// A CIDR group that does not hold what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupChange {
    /// Its name.
    pub name: String,
    /// Prefixes that it has not had.
    pub added: usize,
    /// Prefixes that it has no more.
    pub removed: usize,
}

/// The groups that rules name, by name.
pub(crate) fn named(rules: &RuleSet) -> BTreeMap<&str, &Arc<CidrGroup>> {
    let rules = rules.directions.iter().flat_map(|side| &side.rules);
    let selectors = rules.flat_map(|rule| match &rule.peers {
        Peers::Any => &[][..],
        Peers::Only(selectors) => selectors,
    });
    let groups = selectors.filter_map(|selector| match selector {
        PeerSelector::Group(block) => Some((block.group.name.as_str(), &block.group)),
        PeerSelector::Labels(_) | PeerSelector::Cidr(_) => None,
    });
    groups.collect()
}

/// The same with what they hold, for names.
pub(super) fn held(rules: &RuleSet) -> Vec<(&str, Addresses)> {
    let groups = named(rules).into_iter();
    let held = |group: &CidrGroup| Addresses {
        v4: group.prefixes.ranges(group.now),
        v6: group.prefixes.ranges(group.now),
    };
    groups.map(|(name, group)| (name, held(group))).collect()
}

/// Every group of both sides that holds something else now.
#[must_use]
pub fn groups(from: &RuleSet, to: &RuleSet) -> Vec<GroupChange> {
    let new = named(to);
    let changes = named(from).into_iter().filter_map(|(name, old)| {
        let new = new.get(name)?;
        if Arc::ptr_eq(&old.prefixes, &new.prefixes) && old.now == new.now {
            return None;
        }
        let (added, removed) = count(old, new);
        (added + removed > 0).then(|| GroupChange {
            name: name.to_owned(),
            added,
            removed,
        })
    });
    changes.collect()
}

/// Prefixes that only the new one has, and those that only the old one has. Both are
/// sorted, none twice.
fn count(old: &CidrGroup, new: &CidrGroup) -> (usize, usize) {
    let (mut added, mut removed) = (0, 0);
    let mut old = old.live().map(|(prefix, _)| prefix).peekable();
    let mut new = new.live().map(|(prefix, _)| prefix).peekable();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return (added, removed),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.cmp(new),
        };
        if order.is_le() {
            old.next();
        }
        if order.is_ge() {
            new.next();
        }
        removed += usize::from(order.is_lt());
        added += usize::from(order.is_gt());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::Prefixes;

    fn group(prefixes: &[&str]) -> CidrGroup {
        let prefixes = (1..).zip(prefixes);
        CidrGroup {
            name: "g".into(),
            labels: BTreeMap::new(),
            file: "g.cidr".into(),
            line: None,
            prefixes: Arc::new(Prefixes::of(
                prefixes.map(|(line, text)| (text.parse().unwrap(), line)),
            )),
            now: 0,
        }
    }

    #[test]
    fn prefixes_are_counted_whatever_their_order() {
        let old = group(&["192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "10.0.0.0/9"]);
        let same = group(&["2001:db8::/32", "10.0.0.0/9", "10.0.0.0/8", "192.0.2.0/24"]);
        assert_eq!(count(&old, &same), (0, 0));
        let new = group(&["10.0.0.0/9", "198.51.100.0/24", "203.0.113.0/24", "::/0"]);
        assert_eq!(count(&old, &new), (3, 3));
        assert_eq!(count(&new, &group(&[])), (0, 4));
    }
}
