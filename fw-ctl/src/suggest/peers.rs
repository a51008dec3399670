//! How peers are named: the inventory's by labels that select exactly them, or by entity;
//! all others by address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Base, By};
use crate::diagnostic::Span;
use crate::diff::{Addresses, addresses_by_labels, short_labels};
use crate::policy::label::{CLUSTER, K8S, Label, LabelKey, LabelSet, NAMESPACE, NODE};
use crate::policy::schema::{LabelSelector, Operator, Requirement};

/// Entities that stand for some of the cluster, the narrower first.
const ENTITIES: [&str; 7] = [
    "kube-apiserver",
    "health",
    "ingress",
    "init",
    "unmanaged",
    "remote-node",
    "host",
];
/// Labels by which people tell nodes and workloads apart, the best first. By any other one,
/// who comes to the cluster later may be meant, too: then all labels are named.
const TELLING: [&str; 4] = [
    "kubernetes.io/hostname",
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
];

/// A peer as an item of a policy names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// `fromEntities`
    Entity(&'static str),
    /// `fromNodes`: labels of a node.
    Node(BTreeMap<String, String>),
    /// `fromEndpoints`: labels of pods.
    Endpoint(BTreeMap<String, String>),
    /// `fromCIDR`
    Address(IpAddr),
}

/// Everybody that the inventory knows.
pub(super) struct Known<'a> {
    base: &'a Base<'a>,
    all: BTreeMap<&'a LabelSet, Addresses>,
}

impl<'a> Known<'a> {
    pub(super) fn new(base: &'a Base<'a>) -> Self {
        Self {
            base,
            all: addresses_by_labels(base.compiled.identities.identities()),
        }
    }

    /// How an address is named.
    ///
    /// # Errors
    /// It cannot be, in this way.
    pub(super) fn name(&self, address: IpAddr, by: By) -> Result<Peer, String> {
        let labels = self.base.compiled.identities.labels(address);
        let admitted = self.base.compiled.cidr_match_mode.admits(labels);
        let entity = ENTITIES.into_iter().find(|key| labels.is_reserved(key));
        let by_labels = || self.exact(labels);
        let by_address = || admitted.then_some(Peer::Address(address));
        let by_entity = || entity.map(Peer::Entity);
        let inside = !labels.is_world();
        let found = match by {
            By::Cidr => by_address(),
            By::Entity => by_entity()
                .or_else(by_address)
                .or_else(|| inside.then(by_labels).flatten()),
            By::Auto | By::Labels if !inside => by_address(),
            By::Auto => by_labels().or_else(by_entity).or_else(by_address),
            By::Labels => by_labels(),
        };
        found.ok_or_else(|| {
            let who = short_labels(labels);
            match by {
                By::Cidr => format!(
                    "CIDR rules do not match {address}, which is inside the cluster ({who}); \
                     try: --by auto"
                ),
                _ => format!(
                    "no labels select {address} ({who}) and nobody else; try: --by auto, or \
                     other labels in the inventory"
                ),
            }
        })
    }

    /// Whom a peer means, by who has which labels: not by how rules are compiled.
    pub(super) fn meant(&self, peer: &Peer, named: &[IpAddr]) -> Addresses {
        let identities = self.base.compiled.identities.identities();
        match peer {
            Peer::Address(address) => Addresses::of([IpNet::from(*address)]),
            Peer::Entity(key) => {
                let some = self
                    .all
                    .iter()
                    .filter(|(labels, _)| labels.is_reserved(key));
                Addresses::union(some.map(|(_, addresses)| addresses))
            }
            Peer::Node(_) | Peer::Endpoint(_) => {
                let sets: BTreeSet<&LabelSet> = named
                    .iter()
                    .map(|address| identities.of(*address).as_ref())
                    .collect();
                let some = self.all.iter().filter(|(labels, _)| sets.contains(*labels));
                Addresses::union(some.map(|(_, addresses)| addresses))
            }
        }
    }

    /// An entity that means exactly these several peers, as the inventory is.
    pub(super) fn entity_of(&self, peers: &BTreeSet<&LabelSet>) -> Option<&'static str> {
        ENTITIES.into_iter().find(|key| {
            let mut meant = self.all.keys().filter(|labels| labels.is_reserved(key));
            let count = meant.clone().count();
            count > 1 && count == peers.len() && meant.all(|labels| peers.contains(*labels))
        })
    }

    /// Labels that select these and no others: those that tell peers apart, or all.
    fn exact(&self, labels: &LabelSet) -> Option<Peer> {
        let node = labels.is_remote_node();
        let namespace = |label: &&Label| label.source == K8S && label.key == NAMESPACE;
        let mut base = BTreeMap::new();
        if !node {
            let namespace = labels.as_slice().iter().find(namespace)?;
            base.insert(key(namespace), namespace.value.clone());
        }
        let all: Vec<&Label> = labels
            .as_slice()
            .iter()
            .filter(|label| [K8S, NODE].contains(&label.source.as_str()))
            .filter(|label| ![NAMESPACE, CLUSTER].contains(&label.key.as_str()))
            .collect();
        let with = |some: &[&Label]| {
            let mut all = base.clone();
            all.extend(some.iter().map(|label| (key(label), label.value.clone())));
            all
        };
        let known = |name: &&str| all.iter().copied().find(|label| label.key == **name);
        let telling: Vec<&Label> = TELLING.iter().filter_map(known).collect();
        let ones = telling.iter().map(|label| with(&[*label]));
        let mut tries = ones.chain([with(&telling), with(&all)]);
        let found = tries.find(|some| self.selects_exactly(some, node, labels))?;
        Some(if node {
            Peer::Node(found)
        } else {
            Peer::Endpoint(found)
        })
    }

    fn selects_exactly(
        &self,
        some: &BTreeMap<String, String>,
        node: bool,
        labels: &LabelSet,
    ) -> bool {
        if some.is_empty() {
            return false;
        }
        let requirements = some.iter().map(|(key, value)| Requirement {
            key: LabelKey::parse(key),
            operator: Operator::In(vec![value.clone()]),
            span: Span::default(),
        });
        let selector = LabelSelector {
            requirements: requirements.collect(),
            ..LabelSelector::default()
        };
        let cluster = &self.base.compiled.inputs.config.policy.cluster_name;
        let selector = if node {
            selector.scoped_to_nodes(cluster)
        } else {
            selector.scoped_to_pods(cluster)
        };
        let mut others = self.all.keys().filter(|other| **other != labels);
        selector.matches(labels) && !others.any(|other| selector.matches(other))
    }
}

/// As selectors of policies write it.
fn key(label: &Label) -> String {
    if label.key.contains(':') {
        format!("{}:{}", label.source, label.key)
    } else {
        label.key.clone()
    }
}
