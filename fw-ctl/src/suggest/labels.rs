//! Labels that select exactly some of those whom the inventory knows: as few as can be,
//! and of these the ones by which people tell workloads apart.
//!
//! By any label, who comes to the cluster later may be meant, too. So what a workload is
//! called comes first, then what else it has, then what it lacks, and what names one
//! instance of it, which is another one tomorrow, comes last.

use std::collections::{BTreeMap, BTreeSet};

use super::atoms::{Atom, Is, Rank, atoms, enough, rank};
use crate::diagnostic::Span;
use crate::policy::decode::{is_label_value, is_qualified_name};
use crate::policy::label::{CLUSTER, K8S, Label, LabelKey, LabelSet, NAMESPACE, NODE};
use crate::policy::schema::{LabelSelector, Operator, Requirement};

/// Names one node.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
/// Keys by which a set is parted, one after the other.
const DEPTH: usize = 2;
/// Keys that are tried for parting.
const KEYS: usize = 12;

/// Of pods or of nodes, as a policy writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    /// `matchLabels`
    labels: BTreeMap<String, String>,
    /// `matchExpressions`: values that a key must not have; none: it must not be there.
    not: BTreeMap<String, Vec<String>>,
}

/// Everybody that is known, and whose cluster this is.
pub(super) struct Search<'a> {
    pub(super) all: Vec<&'a LabelSet>,
    pub(super) cluster: &'a str,
}

impl Selector {
    fn of(labels: BTreeMap<String, String>) -> Self {
        Self {
            labels,
            not: BTreeMap::new(),
        }
    }

    fn require(&mut self, atom: &Atom) {
        let key = atom.key.clone();
        match &atom.is {
            Is::Value(value) => {
                self.labels.insert(key, value.clone());
            }
            Is::Not(values) => {
                self.not.insert(key, values.clone());
            }
        }
    }

    /// As the policies have it.
    pub(super) fn written(&self) -> LabelSelector {
        let requirement = |key: &str, operator| Requirement {
            key: LabelKey::parse(key),
            operator,
            span: Span::default(),
        };
        let labels = self.labels.iter();
        let labels = labels.map(|(key, value)| requirement(key, Operator::In(vec![value.clone()])));
        let not = self.not.iter().map(|(key, values)| {
            let operator = if values.is_empty() {
                Operator::DoesNotExist
            } else {
                Operator::NotIn(values.clone())
            };
            requirement(key, operator)
        });
        LabelSelector {
            requirements: labels.chain(not).collect(),
            ..LabelSelector::default()
        }
    }
}

impl Search<'_> {
    /// For pods: selectors that together match these and nobody else. `None`: there are none.
    pub(super) fn pods(&self, chosen: &BTreeSet<&LabelSet>) -> Option<Vec<Selector>> {
        let mut places: BTreeMap<_, Vec<&LabelSet>> = BTreeMap::new();
        for labels in chosen {
            places.entry(self.place(labels)?).or_default().push(labels);
        }
        let mut found = Vec::new();
        for (place, some) in places {
            let alone = || {
                let each = some.iter().map(|one| self.one(&place, &[*one], true));
                each.collect::<Option<Vec<_>>>()
            };
            let covering = self.cover(&place, &some, DEPTH);
            let covering = covering.or_else(|| self.one(&place, &some, true).map(|one| vec![one]));
            found.extend(covering.or_else(alone)?);
        }
        Some(found)
    }

    /// For nodes: by hostname, or by all labels that they have.
    pub(super) fn nodes(&self, chosen: &BTreeSet<&LabelSet>) -> Option<Vec<Selector>> {
        let mut hosts: BTreeMap<Option<&str>, Vec<&LabelSet>> = BTreeMap::new();
        for labels in chosen {
            let host = own(labels).find(|label| label.key == HOSTNAME);
            let host = host.filter(|label| is_writable(label));
            let host = host.map(|label| label.value.as_str());
            hosts.entry(host).or_default().push(labels);
        }
        let mut found = Vec::new();
        for (host, some) in hosts {
            let by_host = host.map(|host| {
                let host = (HOSTNAME.to_owned(), host.to_owned());
                Selector::of(BTreeMap::from([host]))
            });
            if let Some(by_host) = by_host.filter(|by| self.is_exact(by, true, &some)) {
                found.push(by_host);
                continue;
            }
            for labels in some {
                let all = own(labels).filter(|label| is_writable(label));
                let all = all.map(|label| (key(label), label.value.clone()));
                let by_all = Selector::of(all.collect());
                if by_all.labels.is_empty() || !self.is_exact(&by_all, true, &[labels]) {
                    return None;
                }
                found.push(by_all);
            }
        }
        Some(found)
    }

    /// What every selector of a pod names: its namespace, and its cluster, if that is not
    /// the one that Cilium adds.
    fn place(&self, labels: &LabelSet) -> Option<BTreeMap<String, String>> {
        let value = |key: &str| {
            let mut all = labels.as_slice().iter();
            all.find(|label| label.source == K8S && label.key == key)
        };
        let namespace = value(NAMESPACE).filter(|label| is_writable(label))?;
        let cluster = value(CLUSTER).filter(|label| label.value != self.cluster);
        let some = [Some(namespace), cluster].into_iter().flatten();
        Some(
            some.map(|label| (key(label), label.value.clone()))
                .collect(),
        )
    }

    /// The fewest selectors for a set, without labels of instances.
    fn cover(
        &self,
        place: &BTreeMap<String, String>,
        some: &[&LabelSet],
        depth: usize,
    ) -> Option<Vec<Selector>> {
        if let Some(one) = self.one(place, some, false) {
            return Some(vec![one]);
        }
        if depth == 0 || some.len() < 2 {
            return None;
        }
        let mut keys: Vec<(Rank, &str)> = some
            .iter()
            .flat_map(|labels| own(labels))
            .map(|label| (rank(label), label.key.as_str()))
            .filter(|(rank, _)| *rank < Rank::Lacking)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let mut best: Option<Vec<Selector>> = None;
        for (_, key) in keys.into_iter().take(KEYS) {
            let mut parts: BTreeMap<Option<&str>, Vec<&LabelSet>> = BTreeMap::new();
            for labels in some {
                let value = own(labels).find(|label| label.key == key);
                let value = value.map(|label| label.value.as_str());
                parts.entry(value).or_default().push(labels);
            }
            if parts.len() < 2 {
                continue;
            }
            let parts = parts.values();
            let covers = parts.map(|part| self.cover(place, part, depth - 1));
            let Some(covers) = covers.collect::<Option<Vec<_>>>() else {
                continue;
            };
            let covers = covers.concat();
            if best.as_ref().is_none_or(|known| covers.len() < known.len()) {
                best = Some(covers);
            }
        }
        best
    }

    /// One selector for a set: the name of the workload, and as little more as will do.
    fn one(
        &self,
        place: &BTreeMap<String, String>,
        some: &[&LabelSet],
        instances: bool,
    ) -> Option<Selector> {
        let base = Selector::of(place.clone());
        let here = base.written().scoped_to_pods(self.cluster);
        let others: Vec<&LabelSet> = self
            .all
            .iter()
            .copied()
            .filter(|labels| !some.contains(labels) && here.matches(labels))
            .collect();
        let atoms = atoms(some, &others);
        let ranks = [
            Rank::Ordinary,
            Rank::Around,
            Rank::Lacking,
            Rank::Instance,
            Rank::LackingInstance,
        ];
        let ranks = ranks
            .into_iter()
            .filter(|rank| instances || *rank < Rank::Instance);
        for most in ranks {
            let pool: Vec<&Atom> = atoms.iter().filter(|atom| atom.rank <= most).collect();
            if let Some(enough) = enough(&pool, others.len()) {
                let mut found = base.clone();
                for atom in enough {
                    found.require(atom);
                }
                // Keys without a source select labels of several: this has the last word.
                if self.is_exact(&found, false, some) {
                    return Some(found);
                }
            }
        }
        None
    }

    /// Whether it matches these, and of all that are known nobody else.
    fn is_exact(&self, selector: &Selector, nodes: bool, some: &[&LabelSet]) -> bool {
        let written = selector.written();
        let scoped = if nodes {
            written.scoped_to_nodes(self.cluster)
        } else {
            written.scoped_to_pods(self.cluster)
        };
        some.iter().all(|labels| scoped.matches(labels))
            && !self
                .all
                .iter()
                .any(|labels| !some.contains(labels) && scoped.matches(labels))
    }
}

/// Labels of the object, without its namespace and its cluster.
pub(super) fn own(labels: &LabelSet) -> impl Iterator<Item = &Label> {
    labels
        .as_slice()
        .iter()
        .filter(|label| [K8S, NODE].contains(&label.source.as_str()))
        .filter(|label| ![NAMESPACE, CLUSTER].contains(&label.key.as_str()))
}

/// Whether a policy can name it.
pub(super) fn is_writable(label: &Label) -> bool {
    let source = LabelKey::parse(&key(label)).source;
    is_qualified_name(&format!("{source}.{}", label.key)) && is_label_value(&label.value)
}

/// As selectors of policies write it.
pub(super) fn key(label: &Label) -> String {
    if label.key.contains(':') {
        format!("{}:{}", label.source, label.key)
    } else {
        label.key.clone()
    }
}
