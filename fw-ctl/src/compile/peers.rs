//! Peer classes: addresses that every rule treats alike.
//!
//! Each peer set is a set of sorted ranges, and so are the addresses of identities.
//! One walk through all of their bounds, in order, meets every address at which
//! anything changes; which peer sets hold there makes the class. A list of a million
//! prefixes is one set: two bounds for each prefix, merged.

use std::collections::HashMap;

use ipnet::IpNet;

use super::bits::{Bits, Interner};
use super::index::Index;
use super::memo::Memo;
use super::rules::PeerSet;
use crate::inventory::Identities;
use crate::lists::Family;
use crate::policy::label::LabelSet;
use crate::policy::rules::{CidrMatchMode, PeerSelector, Peers};
use crate::policy::schema::LabelSelector;
use crate::ranges::{Range, joined, longest, push, without};

/// The classes, and who is in which.
pub(super) struct PeerClasses {
    /// All addresses, cut where the class changes: first address and class.
    pub(super) v4: Vec<(u32, u32)>,
    /// The same.
    pub(super) v6: Vec<(u128, u32)>,
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
    let mut walk = Walk::new(sets, &by_labels);
    PeerClasses {
        v4: walk.family(),
        v6: walk.family(),
        classes: walk.classes.into_values(),
    }
}

/// What labels alone decide.
struct ByLabels {
    /// Prefixes of identities, sorted, with the number of their label set.
    prefixes: Vec<(IpNet, u32)>,
    /// By label set: the peer sets that select it by its labels.
    selected: Vec<Bits>,
    /// By label set: whether CIDR rules may match it.
    admitted: Vec<bool>,
}

impl ByLabels {
    fn new(sets: &[PeerSet], identities: &Identities, mode: CidrMatchMode) -> Self {
        let mut numbers: HashMap<&LabelSet, u32> = HashMap::new();
        let mut labels: Vec<&LabelSet> = Vec::new();
        let mut prefixes = Vec::new();
        for (prefix, set) in identities.entries_with_world() {
            let number = *numbers.entry(set).or_insert_with(|| {
                labels.push(set);
                number(labels.len() - 1)
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

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 peer sets and identities fit in memory")
}

/// The addresses that a peer set means by itself, whatever the labels say.
fn ranges<N: Family>(set: &PeerSet) -> Vec<Range<N>> {
    let of_prefixes =
        |prefixes: &[IpNet]| joined(prefixes.iter().filter_map(N::range_of).collect());
    let selectors = match set {
        PeerSet::Address(prefix) => return N::range_of(prefix).into_iter().collect(),
        PeerSet::Rule(Peers::Any) => return Vec::new(),
        PeerSet::Rule(Peers::Only(selectors)) => selectors,
    };
    let mut all = Vec::new();
    for selector in selectors {
        match selector {
            PeerSelector::Labels(_) => {}
            PeerSelector::Cidr(block) if block.except.is_empty() => {
                all.extend(N::range_of(&block.cidr));
            }
            PeerSelector::Cidr(block) => {
                if let Some(range) = N::range_of(&block.cidr) {
                    all.extend(without(&[range], &of_prefixes(&block.except)));
                }
            }
            PeerSelector::Group(block) => {
                let ranges = block.group.prefixes.ranges(block.group.now);
                let ranges = match &block.except[..] {
                    [] => ranges,
                    except => without(&ranges, &of_prefixes(except)),
                };
                if all.is_empty() {
                    all = ranges;
                } else {
                    all.extend(ranges);
                }
            }
        }
    }
    joined(all)
}

/// Goes through all addresses of a family, and then of the other one.
struct Walk<'a> {
    sets: &'a [PeerSet],
    by_labels: &'a ByLabels,
    /// Peer sets that mean addresses whatever the identity.
    whatever: Bits,
    /// Distinct sets of peer sets whose ranges hold the address at hand: states.
    states: Interner<Bits>,
    classes: Interner<Bits>,
    /// From a state and the peer set that begins or ends, to the next state.
    steps: Memo,
    /// From a state and a label set to the class.
    found: Memo,
}

impl<'a> Walk<'a> {
    fn new(sets: &'a [PeerSet], by_labels: &'a ByLabels) -> Self {
        let mut whatever = Bits::new(sets.len());
        for (number, set) in sets.iter().enumerate() {
            if matches!(set, PeerSet::Address(_)) {
                whatever.insert(number);
            }
        }
        Self {
            sets,
            by_labels,
            whatever,
            states: Interner::new(),
            classes: Interner::new(),
            steps: Memo::new(),
            found: Memo::new(),
        }
    }

    fn family<N: Family>(&mut self) -> Vec<(N, u32)> {
        let bounds = self.bounds::<N>();
        let labels = self.by_labels.prefixes.iter();
        let labels = labels.filter_map(|(prefix, set)| Some((N::range_of(prefix)?, *set)));
        // Both default routes are identities, so that there is no address without.
        let labels = longest(u32::MAX, labels);
        let mut state = self.states.number(&Bits::new(self.sets.len()));
        let mut set = labels[0].1;
        let (mut bounds, mut labels) = (&bounds[..], &labels[..]);
        let mut runs = Vec::with_capacity(bounds.len() + labels.len());
        let mut here = N::default();
        loop {
            while let [(at, begins_or_ends), rest @ ..] = bounds
                && *at == here
            {
                state = self.step(state, *begins_or_ends);
                bounds = rest;
            }
            if let [(at, other), rest @ ..] = labels
                && *at == here
            {
                set = *other;
                labels = rest;
            }
            push(&mut runs, here, self.class(state, set));
            here = match (bounds.first(), labels.first()) {
                (Some(bound), Some(label)) => bound.0.min(label.0),
                (Some(bound), None) => bound.0,
                (None, Some(label)) => label.0,
                (None, None) => return runs,
            };
        }
    }

    /// Where a range of a peer set begins, or has ended: with the number of the set,
    /// sorted.
    fn bounds<N: Family>(&self) -> Vec<(N, u32)> {
        let mut bounds = Vec::new();
        for (set, peers) in (0..).zip(self.sets) {
            let ranges = ranges::<N>(peers);
            bounds.reserve(ranges.len() * 2);
            for (first, last) in ranges {
                bounds.push((first, set));
                bounds.extend(last.next().map(|behind| (behind, set)));
            }
        }
        // Each set's are sorted: a sort that merges what is in order already.
        bounds.sort_by_key(|bound| bound.0);
        bounds
    }

    /// The state behind a bound.
    fn step(&mut self, state: u32, set: u32) -> u32 {
        self.steps.get(state, set, || {
            let mut bits = self.states.value(state).clone();
            bits.flip(set as usize);
            self.states.number(&bits)
        })
    }

    fn class(&mut self, state: u32, set: u32) -> u32 {
        self.found.get(state, set, || {
            let mut bits = self.states.value(state).clone();
            if !self.by_labels.admitted[set as usize] {
                bits.intersect(&self.whatever);
            }
            bits.union(&self.by_labels.selected[set as usize]);
            self.classes.number(&bits)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::label::Label;
    use crate::policy::rules::CidrBlock;
    use crate::ranges::Number;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn block(cidr: &str, except: &[&str]) -> PeerSelector {
        PeerSelector::Cidr(CidrBlock {
            cidr: net(cidr),
            except: except.iter().map(|part| net(part)).collect(),
        })
    }

    fn only(selectors: Vec<PeerSelector>) -> PeerSet {
        PeerSet::Rule(Peers::Only(selectors))
    }

    /// The runs of IPv4 with the peer sets that hold them.
    fn runs(sets: &[PeerSet], identities: &Identities) -> Vec<(String, Vec<usize>)> {
        let classes = classify(sets, identities, CidrMatchMode::World);
        let runs = classes.v4.iter();
        runs.map(|(first, class)| {
            let held = classes.classes[*class as usize].iter().collect();
            (first.address().to_string(), held)
        })
        .collect()
    }

    fn expect(found: &[(String, Vec<usize>)], expected: &[(&str, &[usize])]) {
        let found: Vec<(&str, &[usize])> =
            found.iter().map(|(a, b)| (a.as_str(), &b[..])).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn exceptions_nest_and_end() {
        let sets = [only(vec![
            block("10.0.0.0/8", &["10.1.0.0/16", "10.1.2.0/24"]),
            block("10.1.2.0/24", &[]),
        ])];
        expect(
            &runs(&sets, &Identities::default()),
            &[
                ("0.0.0.0", &[]),
                ("10.0.0.0", &[0]),
                ("10.1.0.0", &[]),
                ("10.1.2.0", &[0]),
                ("10.1.3.0", &[]),
                ("10.2.0.0", &[0]),
                ("11.0.0.0", &[]),
            ],
        );
    }

    #[test]
    fn sets_overlap_and_go_to_the_end_of_the_address_space() {
        let sets = [
            only(vec![block("10.0.0.0/9", &[]), block("10.128.0.0/9", &[])]),
            only(vec![block("10.64.0.0/10", &[]), block("255.0.0.0/8", &[])]),
            only(vec![block("0.0.0.0/0", &["10.0.0.0/8"])]),
        ];
        expect(
            &runs(&sets, &Identities::default()),
            &[
                ("0.0.0.0", &[2]),
                ("10.0.0.0", &[0]),
                ("10.64.0.0", &[0, 1]),
                ("10.128.0.0", &[0]),
                ("11.0.0.0", &[2]),
                ("255.0.0.0", &[1, 2]),
            ],
        );
    }

    #[test]
    fn of_whom_cidr_rules_must_not_match_only_addresses_count() {
        let node = [Label::reserved("remote-node")].into_iter().collect();
        let identities = Identities::new([(net("10.0.0.128/25"), Arc::new(node))]);
        let sets = [
            only(vec![block("10.0.0.0/24", &[])]),
            PeerSet::Address(net("10.0.0.192/26")),
        ];
        expect(
            &runs(&sets, &identities),
            &[
                ("0.0.0.0", &[]),
                ("10.0.0.0", &[0]),
                ("10.0.0.128", &[]),
                ("10.0.0.192", &[1]),
                ("10.0.1.0", &[]),
            ],
        );
    }
}
