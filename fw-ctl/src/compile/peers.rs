//! Peer classes: addresses that every rule treats alike.
//!
//! The prefixes of identities, CIDR rules and their exceptions cut the address
//! space into nested regions. They are walked from the outside in, and the set of
//! peer sets that hold the current region is kept up to date on the way.

use std::collections::HashMap;

use ipnet::IpNet;

use super::bits::{Bits, Counted, Interner};
use super::index::Index;
use super::rules::PeerSet;
use crate::inventory::Identities;
use crate::policy::label::LabelSet;
use crate::policy::rules::{CidrBlock, CidrMatchMode, PeerSelector, Peers};
use crate::policy::schema::LabelSelector;

/// The classes, and who is in which.
pub(super) struct PeerClasses {
    /// Longest prefix wins; sorted, with both default routes.
    pub(super) regions: Vec<(IpNet, u32)>,
    /// By class: the peer sets that hold it.
    pub(super) classes: Vec<Bits>,
}

/// Numbers the classes that distinct peer sets make of all addresses.
pub(super) fn classify(
    sets: &[PeerSet],
    identities: &Identities,
    mode: CidrMatchMode,
) -> PeerClasses {
    let by_labels = ByLabels::new(sets, identities, mode);
    let mut changes = Vec::new();
    for (number, (prefix, _)) in by_labels.prefixes.iter().enumerate() {
        changes.push((*prefix, Change::Identity(number)));
    }
    for (set, peers) in sets.iter().enumerate() {
        match peers {
            PeerSet::Address(prefix) => changes.push((*prefix, Change::AddressSet(set))),
            PeerSet::Rule(Peers::Any) => {}
            PeerSet::Rule(Peers::Only(selectors)) => {
                for selector in selectors {
                    if let PeerSelector::Cidr(block) = selector {
                        push_block(&mut changes, set, block);
                    }
                }
            }
        }
    }
    changes.sort_by_key(|change| change.0);
    let mut walk = Walk {
        by_labels: &by_labels,
        cidr: Counted::new(sets.len()),
        address: Counted::new(sets.len()),
        stack: Vec::new(),
        classes: Interner::new(),
        regions: Vec::new(),
    };
    for region in changes.chunk_by(|a, b| a.0 == b.0) {
        walk.enter(region);
    }
    PeerClasses {
        regions: walk.regions,
        classes: walk.classes.into_values(),
    }
}

/// Leaves out every entry that has the class of the entry around it. The order
/// is kept.
pub(super) fn without_implied<T: Copy + PartialEq>(sorted: Vec<(IpNet, T)>) -> Vec<(IpNet, T)> {
    let mut around: Vec<(IpNet, T)> = Vec::new();
    let mut kept = Vec::with_capacity(sorted.len());
    for entry in sorted {
        while around.pop_if(|outer| !outer.0.contains(&entry.0)).is_some() {}
        if around.last().is_none_or(|outer| outer.1 != entry.1) {
            kept.push(entry);
        }
        around.push(entry);
    }
    kept
}

/// What begins at a prefix.
#[derive(Clone, Copy)]
enum Change {
    /// The prefix of an identity, by number.
    Identity(usize),
    /// A CIDR of this peer set.
    Block(usize),
    /// An exception from a CIDR of this peer set.
    Except(usize),
    /// This peer set, whatever the identity.
    AddressSet(usize),
}

fn push_block(changes: &mut Vec<(IpNet, Change)>, set: usize, block: &CidrBlock) {
    changes.push((block.cidr, Change::Block(set)));
    // Exceptions inside an exception would be taken off twice. They are sorted,
    // so the outer one comes first.
    let mut outer: Option<IpNet> = None;
    for except in &block.except {
        if outer.is_none_or(|outer| !outer.contains(except)) {
            changes.push((*except, Change::Except(set)));
            outer = Some(*except);
        }
    }
}

/// What labels alone decide.
struct ByLabels {
    /// Prefixes of identities, with the number of their label set.
    prefixes: Vec<(IpNet, usize)>,
    /// By label set: the peer sets that select it by its labels.
    selected: Vec<Bits>,
    /// By label set: whether CIDR rules may match it.
    admitted: Vec<bool>,
}

impl ByLabels {
    fn new(sets: &[PeerSet], identities: &Identities, mode: CidrMatchMode) -> Self {
        let mut numbers: HashMap<&LabelSet, usize> = HashMap::new();
        let mut labels: Vec<&LabelSet> = Vec::new();
        let mut prefixes = Vec::new();
        for (prefix, set) in identities.entries_with_world() {
            let number = *numbers.entry(set).or_insert_with(|| {
                labels.push(set);
                labels.len() - 1
            });
            prefixes.push((prefix, number));
        }
        let mut selected = vec![Bits::new(sets.len()); labels.len()];
        let index = Index::new(&labels);
        let mut answers: HashMap<&LabelSelector, Vec<u32>> = HashMap::new();
        for (number, set) in sets.iter().enumerate() {
            let selectors = match set {
                PeerSet::Address(_) => continue,
                PeerSet::Rule(Peers::Any) => {
                    for bits in &mut selected {
                        bits.insert(number);
                    }
                    continue;
                }
                PeerSet::Rule(Peers::Only(selectors)) => selectors,
            };
            for selector in selectors {
                if let PeerSelector::Labels(selector) = selector {
                    let answer = answers
                        .entry(selector)
                        .or_insert_with(|| index.select(selector));
                    for set in answer.iter() {
                        selected[*set as usize].insert(number);
                    }
                }
            }
        }
        let admitted = labels.iter().map(|labels| mode.admits(labels)).collect();
        Self {
            prefixes,
            selected,
            admitted,
        }
    }
}

/// One region that the walk is in.
struct Entered<'a> {
    prefix: IpNet,
    /// Number of the label set that holds here.
    labels: usize,
    changes: &'a [(IpNet, Change)],
}

struct Walk<'a> {
    by_labels: &'a ByLabels,
    /// Peer sets with a CIDR that holds the current region.
    cidr: Counted,
    /// Peer sets that hold it whatever the identity.
    address: Counted,
    stack: Vec<Entered<'a>>,
    classes: Interner<Bits>,
    regions: Vec<(IpNet, u32)>,
}

impl<'a> Walk<'a> {
    /// Goes into the next region in order, leaving those that do not hold it.
    fn enter(&mut self, changes: &'a [(IpNet, Change)]) {
        let prefix = changes[0].0;
        while let Some(left) = self.stack.pop_if(|outer| !outer.prefix.contains(&prefix)) {
            self.apply(left.changes, false);
        }
        self.apply(changes, true);
        let own = changes.iter().find_map(|(_, change)| match change {
            Change::Identity(number) => Some(self.by_labels.prefixes[*number].1),
            _ => None,
        });
        let labels = own.unwrap_or_else(|| {
            self.stack
                .last()
                .expect("the default routes are identities and come first")
                .labels
        });
        let mut bits = self.by_labels.selected[labels].clone();
        bits.union(self.address.bits());
        if self.by_labels.admitted[labels] {
            bits.union(self.cidr.bits());
        }
        self.regions.push((prefix, self.classes.number(&bits)));
        self.stack.push(Entered {
            prefix,
            labels,
            changes,
        });
    }

    fn apply(&mut self, changes: &[(IpNet, Change)], entering: bool) {
        // A block before its exception, where both begin here: an exception of
        // one block may be the prefix of another one of the same set.
        let mut take = Vec::new();
        for (_, change) in changes {
            match *change {
                Change::Identity(_) => {}
                Change::Block(set) if entering => self.cidr.add(set),
                Change::Block(set) => take.push(set),
                Change::Except(set) if entering => take.push(set),
                Change::Except(set) => self.cidr.add(set),
                Change::AddressSet(set) if entering => self.address.add(set),
                Change::AddressSet(set) => self.address.take(set),
            }
        }
        for set in take {
            self.cidr.take(set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn implied_entries_are_left_out() {
        let table = without_implied(vec![
            (net("0.0.0.0/0"), 0),
            (net("10.0.0.0/8"), 0),
            (net("10.1.0.0/16"), 1),
            (net("10.1.2.0/24"), 1),
            (net("10.1.2.3/32"), 0),
            (net("10.2.0.0/16"), 0),
            (net("::/0"), 0),
        ]);
        let left = ["0.0.0.0/0", "10.1.0.0/16", "10.1.2.3/32", "::/0"].map(net);
        assert_eq!(table.iter().map(|e| e.0).collect::<Vec<_>>(), left);
    }

    #[test]
    fn exceptions_nest_and_end() {
        let block = |cidr: &str, except: &[&str]| {
            PeerSelector::Cidr(CidrBlock {
                cidr: net(cidr),
                except: except.iter().map(|part| net(part)).collect(),
            })
        };
        let sets = [PeerSet::Rule(Peers::Only(vec![
            block("10.0.0.0/8", &["10.1.0.0/16", "10.1.2.0/24"]),
            block("10.1.2.0/24", &[]),
        ]))];
        let classes = classify(&sets, &Identities::default(), CidrMatchMode::World);
        let held: Vec<(IpNet, bool)> = classes
            .regions
            .iter()
            .map(|(prefix, class)| {
                let held = classes.classes[*class as usize].iter().count() == 1;
                (*prefix, held)
            })
            .collect();
        assert_eq!(
            held,
            [
                (net("0.0.0.0/0"), false),
                (net("10.0.0.0/8"), true),
                (net("10.1.0.0/16"), false),
                (net("10.1.2.0/24"), true),
                (net("::/0"), false),
            ]
        );
    }
}
