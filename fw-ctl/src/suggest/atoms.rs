//! What may be required of peers, one label each, and how little of it is enough to keep
//! all others out.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::{is_writable, key, own};
use crate::policy::label::{Label, LabelKey, LabelSet, NAMESPACE_LABELS, SERVICE_ACCOUNT};

/// Labels by which people tell workloads apart, the best first.
const TELLING: [&str; 3] = ["app.kubernetes.io/name", "app", "k8s-app"];
/// Labels that controllers of Kubernetes give to one instance, or to one generation.
const INSTANCE: [&str; 7] = [
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
];
/// Requirements beside the first that are tried in all combinations.
const TRIED: usize = 24;
/// Values that one requirement excludes.
const VALUES: usize = 16;

/// How well a requirement says whom it means, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The name of a workload; the number: of [`TELLING`].
    Telling(usize),
    Ordinary,
    /// Of the namespace, or the service account.
    Around,
    /// That it lacks a label, or a value.
    Lacking,
    Instance,
    LackingInstance,
}

/// A requirement that all of a set meet.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    pub(super) rank: Rank,
    pub(super) key: String,
    pub(super) is: Is,
    /// By number of the others: whether it keeps them out.
    excludes: Vec<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Value(String),
    /// None of these; without any: absent.
    Not(Vec<String>),
}

/// The fewest of these, sorted by rank, that keep all others out; the first of them says
/// what something is, if one can.
pub(super) fn enough<'a>(pool: &[&'a Atom], others: usize) -> Option<Vec<&'a Atom>> {
    let positive = |atom: &&Atom| matches!(atom.is, Is::Value(_));
    let best = pool.iter().copied().find(positive);
    let is_first = |atom: &&Atom| match best.map(|best| best.rank) {
        Some(Rank::Telling(_)) => matches!(atom.rank, Rank::Telling(_)),
        Some(rank) => positive(atom) && atom.rank == rank,
        None => false,
    };
    let mut firsts: Vec<Option<&Atom>> = pool.iter().copied().filter(is_first).map(Some).collect();
    firsts.truncate(TRIED);
    if firsts.is_empty() {
        firsts.push(None);
    }
    let all_out =
        |some: &[&Atom]| (0..others).all(|other| some.iter().any(|atom| atom.excludes[other]));
    let near = &pool[..pool.len().min(TRIED)];
    let begun = |first: Option<&'a Atom>| first.into_iter().collect::<Vec<_>>();
    for first in &firsts {
        let some = begun(*first);
        if all_out(&some) {
            return Some(some);
        }
    }
    for first in &firsts {
        for more in near {
            let mut some = begun(*first);
            some.push(more);
            if all_out(&some) {
                return Some(some);
            }
        }
    }
    for first in &firsts {
        for (number, more) in near.iter().enumerate() {
            for last in &near[number + 1..] {
                let mut some = begun(*first);
                some.extend([*more, *last]);
                if all_out(&some) {
                    return Some(some);
                }
            }
        }
    }
    greedy(begun(firsts[0]), pool, others)
}

/// Of many always the one that keeps the most out of those who are left.
fn greedy<'a>(mut some: Vec<&'a Atom>, pool: &[&'a Atom], others: usize) -> Option<Vec<&'a Atom>> {
    loop {
        let left: Vec<usize> = (0..others)
            .filter(|other| !some.iter().any(|atom| atom.excludes[*other]))
            .collect();
        if left.is_empty() {
            return Some(some);
        }
        let gain = |atom: &&&Atom| left.iter().filter(|other| atom.excludes[**other]).count();
        // Of equal ones the first, which is the best.
        let best = pool.iter().rev().max_by_key(gain)?;
        if gain(&best) == 0 {
            return None;
        }
        some.push(best);
    }
}

/// What all of `some` meet, the best first.
pub(super) fn atoms(some: &[&LabelSet], others: &[&LabelSet]) -> Vec<Atom> {
    let mut labels: Vec<&Label> = some
        .iter()
        .chain(others)
        .flat_map(|labels| own(labels))
        .filter(|label| is_writable(label))
        .collect();
    labels.sort_unstable();
    labels.dedup();
    let mut values: BTreeMap<String, (Rank, BTreeSet<&str>)> = BTreeMap::new();
    for label in labels {
        let known = values
            .entry(key(label))
            .or_insert_with(|| (rank(label), BTreeSet::new()));
        known.1.insert(&label.value);
    }
    let mut atoms = Vec::new();
    for (key, (rank, values)) in values {
        let selects = LabelKey::parse(&key);
        let has = |labels: &LabelSet, value: &str| {
            labels.selected(&selects).any(|label| label.value == value)
        };
        let is_there = |labels: &&LabelSet| labels.selected(&selects).next().is_some();
        let lacking = if rank == Rank::Instance {
            Rank::LackingInstance
        } else {
            Rank::Lacking
        };
        let mut add = |rank, is, excludes: Vec<bool>| {
            atoms.push(Atom {
                rank,
                key: key.clone(),
                is,
                excludes,
            });
        };
        if !some.iter().any(is_there) {
            let excludes = others.iter().map(is_there).collect();
            add(lacking, Is::Not(Vec::new()), excludes);
            continue;
        }
        if let Some(value) = values
            .iter()
            .find(|value| some.iter().all(|labels| has(labels, value)))
        {
            let excludes = others.iter().map(|labels| !has(labels, value)).collect();
            add(rank, Is::Value((*value).to_owned()), excludes);
        } else if !some.iter().all(is_there) {
            let theirs = values
                .iter()
                .filter(|value| !some.iter().any(|labels| has(labels, value)));
            let theirs: Vec<String> = theirs.map(|value| (*value).to_owned()).collect();
            if (1..=VALUES).contains(&theirs.len()) {
                let is_out = |labels: &&LabelSet| theirs.iter().any(|value| has(labels, value));
                let excludes = others.iter().map(is_out).collect();
                add(lacking, Is::Not(theirs), excludes);
            }
        }
    }
    atoms.sort_by(|one, other| (one.rank, &one.key).cmp(&(other.rank, &other.key)));
    atoms
}

pub(super) fn rank(label: &Label) -> Rank {
    let key = label.key.as_str();
    if let Some(place) = TELLING.iter().position(|known| *known == key) {
        Rank::Telling(place)
    } else if INSTANCE.contains(&key) {
        Rank::Instance
    } else if key == SERVICE_ACCOUNT || key.starts_with(NAMESPACE_LABELS) {
        Rank::Around
    } else {
        Rank::Ordinary
    }
}
