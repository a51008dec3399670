//! How peers are named: the inventory's by labels that select exactly them, or by entity;
//! all others by address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::labels::{HOSTNAME, Search, Selector, is_writable, own};
use super::{Base, By};
use crate::diff::{Addresses, addresses_by_labels, short_labels};
use crate::inventory::longest_prefix;
use crate::policy::label::{CLUSTER, K8S, LabelKey, LabelSet, NAMESPACE};
use crate::printable::quoted;

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
/// Entities of which every node has one.
const OF_NODES: [&str; 3] = ["remote-node", "health", "ingress"];
/// Characters that are shown of what cannot be written.
const SHOWN: usize = 80;

/// A peer as an item of a policy names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// `fromEntities`
    Entity(&'static str),
    /// `fromNodes`
    Node(Selector),
    /// `fromEndpoints`
    Endpoint(Selector),
    /// `fromCIDR`
    Address(IpAddr),
}

/// One peer, by whatever addresses. Whoever has the labels of a pod is one peer, as a row
/// of the report is; two nodes are two, and so are two entries of the inventory for nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit<'a> {
    /// Not of the cluster, or to be named by address.
    Address(IpAddr),
    /// A node of the inventory, by name.
    Node(&'a LabelSet, &'a str),
    /// An entry for a node.
    Entry(&'a LabelSet, IpNet),
    /// Pods with these labels.
    Labels(&'a LabelSet),
}

/// How peers can be named together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Entity(&'static str),
    Node,
    Endpoint,
    Address,
}

/// Names for some peers, and why the others have none.
#[derive(Debug, Default)]
pub(super) struct Named<'a> {
    pub(super) peers: BTreeSet<Peer>,
    pub(super) nameless: Vec<(Unit<'a>, String)>,
}

/// Everybody that the inventory knows.
pub(super) struct Known<'a> {
    base: &'a Base<'a>,
    all: BTreeMap<&'a LabelSet, Addresses>,
    /// Who has which labels, but for world.
    units: BTreeMap<&'a LabelSet, BTreeSet<Unit<'a>>>,
    /// Names of nodes by any of their addresses.
    nodes: BTreeMap<IpAddr, &'a str>,
    /// The prefix of each entry by itself.
    entries: Vec<(IpNet, IpNet)>,
}

impl<'a> Known<'a> {
    pub(super) fn new(base: &'a Base<'a>) -> Self {
        let identities = base.compiled.identities.identities();
        let nodes = base.inventory.nodes.iter().flat_map(|(name, node)| {
            let all = [&node.addresses, &node.health, &node.ingress];
            let all = all.into_iter().flatten();
            all.map(|(address, _)| (address.to_canonical(), name.as_str()))
        });
        let entries = identities.entries_with_world();
        let mut known = Self {
            base,
            all: addresses_by_labels(identities),
            units: BTreeMap::new(),
            nodes: nodes.collect(),
            entries: entries.map(|(prefix, _)| (prefix, prefix)).collect(),
        };
        for (prefix, labels) in identities.entries_with_world() {
            if !labels.is_world() {
                let unit = known.unit_in(prefix, labels);
                known.units.entry(labels).or_default().insert(unit);
            }
        }
        known
    }

    fn unit_in(&self, prefix: IpNet, labels: &'a LabelSet) -> Unit<'a> {
        if !OF_NODES.iter().any(|key| labels.is_reserved(key)) {
            return Unit::Labels(labels);
        }
        let single = prefix.prefix_len() == prefix.max_prefix_len();
        match self.nodes.get(&prefix.addr()).filter(|_| single) {
            Some(name) => Unit::Node(labels, name),
            None => Unit::Entry(labels, prefix),
        }
    }

    /// Who has an address, and how they can be named.
    pub(super) fn unit(&self, address: IpAddr, by: By) -> (Kind, Unit<'a>) {
        let identities = self.base.compiled.identities.identities();
        let labels: &LabelSet = identities.of(address);
        let by_address = (Kind::Address, Unit::Address(address));
        let admitted = self.base.compiled.cidr_match_mode.admits(labels);
        let entity = ENTITIES.into_iter().find(|key| labels.is_reserved(key));
        match (by, entity) {
            (By::Cidr, _) if admitted => return by_address,
            (By::Entity, Some(key)) if labels.is_world() => {
                return (Kind::Entity(key), Unit::Address(address));
            }
            (By::Entity, None) if admitted => return by_address,
            _ if labels.is_world() => return by_address,
            _ => {}
        }
        let prefix = longest_prefix(&self.entries, address).copied();
        let unit = self.unit_in(prefix.unwrap_or_else(|| address.into()), labels);
        match (by, entity) {
            (By::Entity, Some(key)) => (Kind::Entity(key), unit),
            _ if labels.is_remote_node() => (Kind::Node, unit),
            _ => (Kind::Endpoint, unit),
        }
    }

    /// All addresses of a peer.
    pub(super) fn addresses(&self, unit: &Unit<'a>) -> Addresses {
        let of = |labels: &LabelSet| self.all.get(labels).cloned().unwrap_or_default();
        match unit {
            Unit::Address(address) => Addresses::of([IpNet::from(*address)]),
            Unit::Labels(labels) => of(labels),
            Unit::Entry(labels, prefix) => Addresses::of([*prefix]).common(&of(labels)),
            Unit::Node(labels, name) => {
                let theirs = self.nodes.iter().filter(|(_, known)| *known == name);
                let theirs = theirs.map(|(address, _)| IpNet::from(*address));
                Addresses::of(theirs).common(&of(labels))
            }
        }
    }

    /// All addresses of an entity, by who has which labels: not by how rules are compiled.
    pub(super) fn of_entity(&self, key: &str) -> Addresses {
        let some = self.all.iter();
        let some = some.filter(|(labels, _)| labels.is_reserved(key));
        Addresses::union(some.map(|(_, addresses)| addresses))
    }

    /// Names for peers of one kind.
    pub(super) fn name(&self, kind: Kind, units: &BTreeSet<Unit<'a>>, by: By) -> Named<'a> {
        let mut named = Named::default();
        let node = match kind {
            Kind::Entity(key) => {
                named.peers.insert(Peer::Entity(key));
                return named;
            }
            Kind::Address => {
                let addresses = units.iter().filter_map(|unit| match unit {
                    Unit::Address(address) => Some(Peer::Address(*address)),
                    _ => None,
                });
                named.peers.extend(addresses);
                return named;
            }
            Kind::Node => true,
            Kind::Endpoint => false,
        };
        if by == By::Cidr {
            let why = |unit: &Unit<'a>| (*unit, self.not_by_address(kind, unit));
            named.nameless = units.iter().map(why).collect();
            return named;
        }
        if let Some(key) = self.entity_of(units).filter(|_| by == By::Auto) {
            named.peers.insert(Peer::Entity(key));
            return named;
        }
        let mut left = units.clone();
        // Others with the same labels: whoever means one means all.
        for unit in units {
            let twins = unit.labels().and_then(|labels| self.units.get(labels));
            let twin = twins
                .into_iter()
                .flatten()
                .find(|twin| !units.contains(twin));
            if let Some(twin) = twin {
                left.remove(unit);
                named.nameless.push((*unit, self.why(unit, Some(twin))));
            }
        }
        let selectors = self.select(&left, node).or_else(|| {
            let can = |unit: &Unit<'a>| self.select(&BTreeSet::from([*unit]), node).is_some();
            let (some, others): (BTreeSet<_>, BTreeSet<_>) = left.iter().copied().partition(can);
            let why = |unit: &Unit<'a>| (*unit, self.why(unit, None));
            named.nameless.extend(others.iter().map(why));
            self.select(&some, node)
        });
        let peer = if node { Peer::Node } else { Peer::Endpoint };
        named.peers = selectors.into_iter().flatten().map(peer).collect();
        named
    }

    fn select(&self, units: &BTreeSet<Unit<'a>>, node: bool) -> Option<Vec<Selector>> {
        let sets: BTreeSet<&LabelSet> = units.iter().filter_map(Unit::labels).collect();
        let search = Search {
            all: self.all.keys().copied().collect(),
            cluster: self.cluster(),
        };
        if node {
            search.nodes(&sets)
        } else {
            search.pods(&sets)
        }
    }

    /// Whether CIDR rules match somebody with these labels.
    pub(super) fn admits(&self, unit: &Unit<'a>) -> bool {
        let mode = self.base.compiled.cidr_match_mode;
        unit.labels().is_none_or(|labels| mode.admits(labels))
    }

    fn cluster(&self) -> &'a str {
        &self.base.compiled.inputs.config.policy.cluster_name
    }

    /// An entity that means exactly these several peers, as the inventory is.
    fn entity_of(&self, peers: &BTreeSet<Unit<'a>>) -> Option<&'static str> {
        ENTITIES.into_iter().find(|key| {
            let mut sets = self.all.keys().filter(|labels| labels.is_reserved(key));
            let units = |labels: &&&LabelSet| self.units.get(**labels);
            // Of the world: that has no units, and is named by address.
            let inside = sets.clone().all(|labels| units(&labels).is_some());
            let meant: BTreeSet<_> = sets.by_ref().filter_map(|l| units(&l)).flatten().collect();
            inside && meant.len() > 1 && meant.into_iter().eq(peers.iter())
        })
    }

    fn not_by_address(&self, kind: Kind, unit: &Unit<'a>) -> String {
        let who = unit.labels().map(short_labels).unwrap_or_default();
        let why = format!("CIDR rules do not match it, since it is inside the cluster ({who})");
        let auto = self.name(kind, &BTreeSet::from([*unit]), By::Auto);
        if auto.nameless.is_empty() {
            return format!("{why}; try: --by auto, which names it by its labels");
        }
        if kind == Kind::Node {
            return format!("{why}; try: policy.cidr_match_mode = [\"nodes\"], and --by cidr then");
        }
        let reasons: Vec<_> = auto.nameless.into_iter().map(|(_, why)| why).collect();
        format!(
            "{why}; nor can it be named otherwise: {}",
            reasons.join("; ")
        )
    }

    /// Why no labels mean this peer and nobody else; `twin`: who has the same labels.
    fn why(&self, unit: &Unit<'a>, twin: Option<&Unit<'a>>) -> String {
        let Some(labels) = unit.labels() else {
            return "it has no labels".to_owned();
        };
        let node = labels.is_remote_node();
        let entity = ENTITIES.into_iter().find(|key| labels.is_reserved(key));
        let wider = entity.map_or_else(String::new, |key| {
            format!(", or --by entity, which allows all of {key}")
        });
        let mut all = labels.as_slice().iter();
        let bad = all.find(|label| {
            (own(labels).any(|own| own == *label) || label.key == NAMESPACE) && !is_writable(label)
        });
        if let Some(bad) = bad {
            let cut = |text: &str| quoted(&text.chars().take(SHOWN).collect::<String>());
            return format!(
                "no policy can write its label {} with the value {}, and no others tell it \
                 apart; try: another label in the inventory{wider}",
                cut(&bad.key),
                cut(&bad.value)
            );
        }
        let lacks = |key: &str| labels.selected(&LabelKey::new(K8S, key)).next().is_none();
        let no_cluster = lacks(CLUSTER) && (node || entity.is_none());
        if no_cluster || !node && entity.is_none() && lacks(NAMESPACE) {
            let missing = if no_cluster {
                format!("{K8S}:{CLUSTER}={}", self.cluster())
            } else {
                format!("{K8S}:{NAMESPACE}=…")
            };
            return format!(
                "its labels ({}) lack {missing}, which every selector of Cilium asks for; try: \
                 that label in its entry of the inventory{wider}",
                short_labels(labels)
            );
        }
        if node {
            let twin = match twin {
                Some(Unit::Node(_, name)) => format!("node {name} has the same labels"),
                Some(Unit::Entry(_, prefix)) => format!("{prefix} has the same labels"),
                _ => "no others are its own".to_owned(),
            };
            let hostname = if own(labels).any(|label| label.key == HOSTNAME) {
                format!("its label {HOSTNAME} is not its own, and {twin}")
            } else {
                format!("it has no label {HOSTNAME}, and {twin}")
            };
            return format!("{hostname}; try: a label {HOSTNAME} of its own{wider}");
        }
        if let Some(key) = entity {
            return format!("only entity {key} means it, and more than it; try: --by entity");
        }
        format!(
            "no labels tell it ({}) from others; try: another label in the inventory",
            short_labels(labels)
        )
    }
}

impl<'a> Unit<'a> {
    /// Of a peer of the cluster.
    pub(super) fn labels(&self) -> Option<&'a LabelSet> {
        match self {
            Self::Address(_) => None,
            Self::Node(labels, _) | Self::Entry(labels, _) | Self::Labels(labels) => Some(labels),
        }
    }
}
