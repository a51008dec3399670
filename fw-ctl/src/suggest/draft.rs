//! The policies that allow what was chosen, as values: one for each set of nodes and each
//! VLAN, of items that are products of peers and services, so that nothing is allowed
//! which was not chosen.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fw_common::wire::Direction;

use super::peers::{Known, Peer};
use super::{Base, By, Need, direction};
use crate::compile::plan::PlanRule;
use crate::diff::Addresses;
use crate::policy::load;
use crate::policy::rules::{Service, Switch};
use crate::policy::schema::{LabelSelector, PolicyDocument, Subject};

/// Name of the first policy where it is free.
const NAME: &str = "suggested";

/// One policy.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    /// In which VLAN it holds; `None`: in all.
    pub(super) vlan: Option<u16>,
    /// Which nodes.
    pub(super) nodes: LabelSelector,
    /// The policy that selects the same, and where it stands.
    pub(super) like: String,
    /// Ingress, egress.
    pub(super) items: [Vec<Item>; 2],
}

/// One item of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    /// All of one field.
    pub(super) peers: BTreeSet<Peer>,
    /// All ports, or all ICMP.
    pub(super) services: BTreeSet<Service>,
    /// Whom it means, by who has which labels.
    pub(super) meant: Addresses,
    /// The rows that it is for.
    pub(super) rows: BTreeSet<usize>,
}

/// The nodes of a draft as something that can be sorted, and its VLAN.
type Place = (Option<u16>, String);

/// # Errors
/// A peer cannot be named, or it is not known whom the denying policy selects.
pub(super) fn drafts(
    base: &Base<'_>,
    needs: &BTreeSet<Need>,
    by: By,
    name: Option<&str>,
) -> Result<Vec<Draft>, String> {
    let documents = load::load_sources(base.compiled.inputs.policies.iter().cloned()).documents;
    let known = Known::new(base);
    let mut places: BTreeMap<Place, (Draft, [BTreeSet<Need>; 2])> = BTreeMap::new();
    for need in needs {
        let (nodes, like) = nodes(base, &documents, need)?;
        let place = (need.vlan, nodes.to_string());
        let (_, of_place) = places.entry(place).or_insert_with(|| {
            let draft = Draft {
                name: String::new(),
                vlan: need.vlan,
                nodes,
                like,
                items: [Vec::new(), Vec::new()],
            };
            (draft, Default::default())
        });
        of_place[need.way].insert(need.clone());
    }
    let mut names = names(&documents, name)?;
    let mut drafts = Vec::new();
    for (mut draft, ways) in places.into_values() {
        draft.name = names.next().unwrap_or_default();
        for (items, needs) in draft.items.iter_mut().zip(&ways) {
            *items = of_way(base, &known, needs, by)?;
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

/// Names that no policy has.
fn names(
    documents: &[PolicyDocument],
    name: Option<&str>,
) -> Result<impl Iterator<Item = String>, String> {
    let taken: BTreeSet<String> = documents.iter().map(|known| known.name.clone()).collect();
    let known = documents
        .iter()
        .find(|known| Some(known.name.as_str()) == name);
    if let Some(known) = known {
        let (name, file) = (&known.name, &known.source.name);
        return Err(format!(
            "there is a policy {name} already ({file}); try: another --name"
        ));
    }
    let first = name.unwrap_or(NAME).to_owned();
    let numbered = |number| match number {
        1 => first.clone(),
        number => format!("{first}-{number}"),
    };
    let names: Vec<_> = (1..)
        .map(numbered)
        .filter(|name| !taken.contains(name))
        .take(64)
        .collect();
    Ok(names.into_iter())
}

/// Which nodes the policy selects that denies this, and its name: it is the one that
/// switches default deny on.
fn nodes(
    base: &Base<'_>,
    documents: &[PolicyDocument],
    need: &Need,
) -> Result<(LabelSelector, String), String> {
    let plan = &base.compiled.plan;
    let vlan = need.vlan.unwrap_or_default();
    let word = plan.lookup(need.direction(), vlan, need.address, need.service);
    let denying = plan.rule(word);
    let switches = &base.compiled.rules.directions[need.way].default_deny;
    let is_it = |switch: &&Switch| is_of(switch, denying);
    let origin = &switches
        .iter()
        .find(is_it)
        .ok_or_else(|| unknown(denying))?
        .origin;
    let path = origin
        .rule
        .rsplit_once('.')
        .map_or("spec", |(path, _)| path);
    let mut specs = documents
        .iter()
        .filter(|known| known.source == origin.source && *known.name == *origin.policy)
        .flat_map(|known| &known.specs);
    match specs
        .find(|spec| spec.path == path)
        .map(|spec| &spec.subject)
    {
        Some(Subject::Nodes(selector)) => Ok((
            selector.clone().without_spans(),
            format!("{} ({})", origin.policy, origin.place()),
        )),
        _ => Err(unknown(denying)),
    }
}

fn is_of(switch: &Switch, rule: &PlanRule) -> bool {
    *switch.origin.policy == *rule.policy && switch.origin.place() == rule.origin
}

fn unknown(rule: &PlanRule) -> String {
    format!(
        "it is not known which nodes policy {} selects ({})",
        rule.policy, rule.origin
    )
}

/// The items of one direction.
fn of_way(
    base: &Base<'_>,
    known: &Known<'_>,
    needs: &BTreeSet<Need>,
    by: By,
) -> Result<Vec<Item>, String> {
    let mut services: BTreeMap<(IpAddr, bool), BTreeSet<Service>> = BTreeMap::new();
    let mut peers: BTreeMap<IpAddr, Peer> = BTreeMap::new();
    for need in needs {
        let icmp = matches!(need.service, Service::Icmp(_) | Service::Icmpv6(_));
        let of_address = services.entry((need.address, icmp)).or_default();
        of_address.insert(need.service);
        if let Entry::Vacant(nameless) = peers.entry(need.address) {
            nameless.insert(known.name(need.address, by)?);
        }
    }
    // What one peer needs by several addresses is one thing.
    let mut of_peer: BTreeMap<(&Peer, bool), BTreeSet<Service>> = BTreeMap::new();
    for ((address, icmp), services) in services {
        of_peer
            .entry((&peers[&address], icmp))
            .or_default()
            .extend(services);
    }
    let mut together: BTreeMap<(u8, BTreeSet<Service>), BTreeSet<&Peer>> = BTreeMap::new();
    for ((peer, _), services) in of_peer {
        together
            .entry((field(peer), services))
            .or_default()
            .insert(peer);
    }
    let items = together.into_iter().map(|((_, services), some)| {
        let named: Vec<IpAddr> = peers
            .iter()
            .filter(|(_, peer)| some.contains(peer))
            .map(|(address, _)| *address)
            .collect();
        let identities = base.compiled.identities.identities();
        let sets = named
            .iter()
            .map(|address| identities.of(*address).as_ref())
            .collect();
        let labelled = some
            .iter()
            .all(|peer| matches!(peer, Peer::Node(_) | Peer::Endpoint(_)));
        let entity = known
            .entity_of(&sets)
            .filter(|_| by == By::Auto && labelled);
        let peers: BTreeSet<Peer> = match entity {
            Some(entity) => [Peer::Entity(entity)].into(),
            None => some.into_iter().cloned().collect(),
        };
        let meant: Vec<_> = peers.iter().map(|peer| known.meant(peer, &named)).collect();
        let own = needs
            .iter()
            .filter(|need| services.contains(&need.service) && named.contains(&need.address));
        Item {
            rows: super::rows(own),
            meant: Addresses::union(meant.iter()),
            peers,
            services,
        }
    });
    Ok(items.collect())
}

/// An item has one field for peers: those of one number may stand together.
fn field(peer: &Peer) -> u8 {
    match peer {
        Peer::Entity(_) => 0,
        Peer::Node(_) => 1,
        Peer::Endpoint(_) => 2,
        Peer::Address(_) => 3,
    }
}

impl Draft {
    /// The items of both directions, with the direction.
    pub(super) fn all(&self) -> impl Iterator<Item = (Direction, usize, usize, &Item)> {
        self.items.iter().enumerate().flat_map(|(way, items)| {
            let items = items.iter().enumerate();
            items.map(move |(number, item)| (direction(way), way, number, item))
        })
    }
}
