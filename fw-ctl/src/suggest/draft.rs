//! The policies that allow what was chosen, as values: one for each set of nodes and each
//! VLAN, of items that are products of peers and services, so that nothing is allowed
//! which was not chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fw_common::wire::Direction;

use super::peers::{Kind, Known, Peer, Unit};
use super::{Base, By, Need, direction};
use crate::compile::plan::PlanRule;
use crate::diff::Addresses;
use crate::policy::decode::is_dns_subdomain;
use crate::policy::load;
use crate::policy::rules::{Service, Switch};
use crate::policy::schema::{LabelSelector, PolicyDocument, Subject};
use crate::printable::quoted;

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
    /// All addresses of the peers that were chosen.
    pub(super) own: Addresses,
    /// Whom it means, by who has which labels.
    pub(super) meant: Addresses,
    /// The rows that it is for.
    pub(super) rows: BTreeSet<usize>,
}

/// The nodes of a draft as something that can be sorted, and its VLAN.
type Place = (Option<u16>, String);

/// What becomes of all needs.
pub(super) struct Drafted {
    pub(super) drafts: Vec<Draft>,
    /// What they allow.
    pub(super) needs: BTreeSet<Need>,
    /// What they do not, and why.
    pub(super) left: Vec<(Need, String)>,
}

/// # Errors
/// The name cannot be had.
pub(super) fn drafts(
    base: &Base<'_>,
    needs: &BTreeSet<Need>,
    by: By,
    name: Option<&str>,
) -> Result<Drafted, String> {
    let documents = load::load_sources(base.compiled.inputs.policies.iter().cloned()).documents;
    let mut names = names(&documents, name)?;
    let known = Known::new(base);
    let mut left = Vec::new();
    let mut places: BTreeMap<Place, (Draft, [BTreeSet<Need>; 2])> = BTreeMap::new();
    for need in needs {
        let (nodes, like) = match nodes(base, &documents, need) {
            Ok(found) => found,
            Err(why) => {
                left.push((need.clone(), why));
                continue;
            }
        };
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
    let mut drafts = Vec::new();
    for (mut draft, ways) in places.into_values() {
        for (items, needs) in draft.items.iter_mut().zip(&ways) {
            *items = of_way(&known, needs, by, &mut left);
        }
        if draft.items.iter().any(|items| !items.is_empty()) {
            draft.name = names.next().unwrap_or_default();
            drafts.push(draft);
        }
    }
    let mut named = needs.clone();
    for (need, _) in &left {
        named.remove(need);
    }
    Ok(Drafted {
        drafts,
        needs: named,
        left,
    })
}

/// Names that no policy has.
fn names(
    documents: &[PolicyDocument],
    name: Option<&str>,
) -> Result<impl Iterator<Item = String>, String> {
    if let Some(name) = name.filter(|name| !is_dns_subdomain(name)) {
        return Err(format!(
            "{} is not a name that Kubernetes takes; try: lower case letters, digits, `-` and `.`",
            quoted(name)
        ));
    }
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

/// The items of one direction: for each set of peers that ask for the same services, which
/// are named together.
fn of_way(
    all: &Known<'_>,
    needs: &BTreeSet<Need>,
    by: By,
    left: &mut Vec<(Need, String)>,
) -> Vec<Item> {
    let mut asking: BTreeMap<Service, BTreeMap<Kind, BTreeSet<Unit<'_>>>> = BTreeMap::new();
    let mut unit_of: BTreeMap<IpAddr, (Kind, Unit<'_>)> = BTreeMap::new();
    for need in needs {
        let known = unit_of.entry(need.address);
        let (kind, unit) = *known.or_insert_with(|| all.unit(need.address, by));
        let kinds = asking.entry(need.service).or_default();
        kinds.entry(kind).or_default().insert(unit);
    }
    // Ports and types of ICMP stand in items of their own: in one, both would have to match.
    let mut together: BTreeMap<(Kind, BTreeSet<Unit<'_>>, bool), BTreeSet<Service>> =
        BTreeMap::new();
    for (service, kinds) in asking {
        let icmp = matches!(service, Service::Icmp(_) | Service::Icmpv6(_));
        for (kind, units) in kinds {
            let services = together.entry((kind, units, icmp)).or_default();
            services.insert(service);
        }
    }
    let mut items = Vec::new();
    for ((kind, units, _), services) in together {
        let of = |units: &BTreeSet<Unit<'_>>| -> Vec<&Need> {
            let asks = |need: &&Need| {
                let (its_kind, unit) = &unit_of[&need.address];
                services.contains(&need.service) && *its_kind == kind && units.contains(unit)
            };
            needs.iter().filter(asks).collect()
        };
        let named = all.name(kind, &units, by);
        let mut some = units.clone();
        let mut by_address = Vec::new();
        for (unit, why) in named.nameless {
            some.remove(&unit);
            let own = of(&BTreeSet::from([unit]));
            if by == By::Auto && all.admits(&unit) {
                by_address.extend(own);
            } else {
                left.extend(own.into_iter().map(|need| (need.clone(), why.clone())));
            }
        }
        let item = |peers: BTreeSet<Peer>, own: Addresses, needs: &[&Need]| Item {
            meant: peers
                .first()
                .map_or_else(Addresses::default, |peer| match peer {
                    Peer::Entity(key) => all.of_entity(key),
                    Peer::Node(_) | Peer::Endpoint(_) | Peer::Address(_) => own.clone(),
                }),
            rows: super::rows(needs.iter().copied()),
            peers,
            own,
            services: services.clone(),
        };
        if !named.peers.is_empty() {
            let own: Vec<_> = some.iter().map(|unit| all.addresses(unit)).collect();
            items.push(item(named.peers, Addresses::union(own.iter()), &of(&some)));
        }
        if !by_address.is_empty() {
            let peers = by_address.iter().map(|need| Peer::Address(need.address));
            let own = by_address.iter().map(|need| need.address.into());
            items.push(item(peers.collect(), Addresses::of(own), &by_address));
        }
    }
    items.sort_by_cached_key(|item| (field(item), item.services.clone()));
    items
}

/// An item has one field for peers: those of one number stand together.
fn field(item: &Item) -> u8 {
    match item.peers.first() {
        Some(Peer::Entity(_)) | None => 0,
        Some(Peer::Node(_)) => 1,
        Some(Peer::Endpoint(_)) => 2,
        Some(Peer::Address(_)) => 3,
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
