//! From documents to flat rules.

use std::sync::Arc;

use fw_common::wire::Direction;
use ipnet::IpNet;

use super::super::label::{Label, LabelSet};
use super::super::schema::{
    CidrGroup, CidrRule, CidrSelector, Item, LabelSelector, PolicyDocument, Port, PortProtocol,
    Protocol, Spec, Subject,
};
use super::unenforced::unenforced;
use super::{
    CidrBlock, Flattened, GroupBlock, Origin, PORT_PROTOCOLS, PeerSelector, Peers, Rule, Selection,
    ServiceRange, Services, SpecSummary, Surroundings, Switch,
};

/// The source that decoding gives to the keys of `cidrGroupSelector`, as Cilium does.
const CIDR_GROUP: &str = "cidrgroup";

/// Resolves documents to the rules that are in force on one node.
///
/// Every spec that selects the node counts; one that uses a field that fw-ctl
/// does not enforce gives an error, and then the whole load must be refused.
#[must_use]
pub fn flatten(documents: &[PolicyDocument], surroundings: &Surroundings<'_>) -> Flattened {
    let mut out = Flattened::default();
    for document in documents {
        let policy: Arc<str> = document.name.as_str().into();
        for spec in &document.specs {
            let selection = match &spec.subject {
                Subject::Endpoints(_) => Selection::NoSubject,
                Subject::Nodes(selector) if selector.matches(surroundings.node) => {
                    Selection::Selected
                }
                Subject::Nodes(_) => Selection::OtherNodes,
            };
            out.specs.push(SpecSummary {
                policy: Arc::clone(&policy),
                spec: spec.path.clone(),
                origin: format!("{}:{}", document.source.name, spec.span.line),
                selection,
                items: [
                    spec.ingress.len(),
                    spec.ingress_deny.len(),
                    spec.egress.len(),
                    spec.egress_deny.len(),
                ],
            });
            if selection == Selection::Selected {
                out.diagnostics.extend(unenforced(document, spec));
                for direction in [Direction::Ingress, Direction::Egress] {
                    add_spec(&mut out, document, &policy, spec, direction, surroundings);
                }
            }
        }
    }
    out
}

fn add_spec(
    out: &mut Flattened,
    document: &PolicyDocument,
    policy: &Arc<str>,
    spec: &Spec,
    direction: Direction,
    surroundings: &Surroundings<'_>,
) {
    let (allow, deny, default_deny) = match direction {
        Direction::Ingress => (&spec.ingress, &spec.ingress_deny, spec.default_deny_ingress),
        Direction::Egress => (&spec.egress, &spec.egress_deny, spec.default_deny_egress),
    };
    // Only ingress is limited; that egress has no rules beside is checked by decoding.
    let rate = document.rate.as_ref().map(|rate| rate.value);
    let rate = rate.filter(|_| direction == Direction::Ingress);
    let vlans = document.vlans.as_ref().map(|vlans| &vlans.value);
    let rules = &mut out.rules.directions[direction as usize];
    let items = allow
        .iter()
        .map(|item| (item, false))
        .chain(deny.iter().map(|item| (item, true)));
    for (item, deny) in items {
        let origin = Origin {
            policy: Arc::clone(policy),
            rule: item
                .path
                .strip_prefix("spec.")
                .unwrap_or(&item.path)
                .to_owned(),
            source: Arc::clone(&document.source),
            span: item.span,
            log: spec.log.clone().unwrap_or_default(),
        };
        let switches = &mut rules.default_deny;
        let known = |switch: &Switch| switch.vlans.is_none() || switch.vlans.as_ref() == vlans;
        if default_deny.unwrap_or(true) && !switches.iter().any(known) {
            switches.push(Switch {
                origin: origin.clone(),
                vlans: vlans.cloned(),
            });
        }
        let services = services(item);
        rules.rules.push(Rule {
            deny,
            peers: peers(item, services.is_some(), surroundings),
            services: services.unwrap_or(Services::All),
            rate: rate.filter(|_| !deny),
            vlans: vlans.cloned(),
            origin,
        });
    }
}

/// The peers of an item. No peer field at all means everybody if services are
/// named, nobody otherwise. An empty list means nobody, whatever stands beside it.
fn peers(item: &Item, has_services: bool, surroundings: &Surroundings<'_>) -> Peers {
    let cluster = surroundings.cluster;
    let mut present = false;
    let mut empty = false;
    let mut selectors = Vec::new();
    let mut member = |length: Option<usize>| {
        present |= length.is_some();
        empty |= length == Some(0);
    };
    member(item.endpoints.as_ref().map(Vec::len));
    member(item.entities.as_ref().map(Vec::len));
    member(item.cidr.as_ref().map(Vec::len));
    member(item.cidr_set.as_ref().map(Vec::len));
    member(item.nodes.as_ref().map(Vec::len));
    member(item.groups.as_ref().map(Vec::len));
    member(item.services.as_ref().map(Vec::len));
    member(item.fqdns.as_ref().map(Vec::len));
    if !present && has_services {
        return Peers::Any;
    }
    if empty {
        return Peers::Only(selectors);
    }
    let labels = |selector: LabelSelector| PeerSelector::Labels(selector.without_spans());
    for selector in item.endpoints.iter().flatten() {
        selectors.push(labels(selector.scoped_to_pods(cluster)));
    }
    for selector in item.nodes.iter().flatten() {
        selectors.push(labels(selector.scoped_to_nodes(cluster)));
    }
    for entity in item.entities.iter().flatten() {
        selectors.extend(entity.value.selectors(cluster).into_iter().map(labels));
    }
    for cidr in item.cidr.iter().flatten() {
        selectors.extend(block(cidr.value, &[]));
    }
    for rule in item.cidr_set.iter().flatten() {
        let except: Vec<IpNet> = rule.except.iter().map(|part| part.value).collect();
        if let CidrSelector::Cidr(cidr) = &rule.selector {
            selectors.extend(block(cidr.value, &except));
        }
        let except = sorted(except);
        selectors.extend(groups(rule, surroundings.groups).map(|group| {
            PeerSelector::Group(GroupBlock {
                group: Arc::clone(group),
                except: except.clone(),
            })
        }));
    }
    let everybody = PeerSelector::Labels(LabelSelector::default());
    if selectors.contains(&everybody) {
        return Peers::Any;
    }
    Peers::Only(selectors)
}

/// The groups that an entry of `fromCIDRSet`/`toCIDRSet` names: none where it is a
/// prefix, and none that does not exist.
pub(in crate::policy) fn groups<'a>(
    rule: &'a CidrRule,
    groups: &'a [Arc<CidrGroup>],
) -> impl Iterator<Item = &'a Arc<CidrGroup>> {
    groups.iter().filter(|group| match &rule.selector {
        CidrSelector::Cidr(_) => false,
        CidrSelector::Group(name) => group.name == name.value,
        CidrSelector::GroupSelector(selector) => selector.matches(&labels(group)),
    })
}

fn labels(group: &CidrGroup) -> LabelSet {
    group
        .labels
        .iter()
        .map(|(key, value)| Label::new(CIDR_GROUP, key, value))
        .collect()
}

/// A prefix without its exceptions; `None` where nothing is left of it.
fn block(cidr: IpNet, except: &[IpNet]) -> Option<PeerSelector> {
    if except.iter().any(|part| part.contains(&cidr)) {
        return None;
    }
    let inside = except.iter().copied().filter(|part| cidr.contains(part));
    let except = sorted(inside.collect());
    Some(PeerSelector::Cidr(CidrBlock { cidr, except }))
}

fn sorted(mut prefixes: Vec<IpNet>) -> Vec<IpNet> {
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// The services of an item; `None` where none are named: all of them.
fn services(item: &Item) -> Option<Services> {
    let ports = item.to_ports.as_deref().unwrap_or_default();
    let icmps = item.icmps.as_deref().unwrap_or_default();
    if ports.is_empty() && icmps.is_empty() {
        return None;
    }
    let mut ranges: Vec<ServiceRange> = ports
        .iter()
        .flat_map(|rule| &rule.ports)
        .flat_map(port_ranges)
        .collect();
    for field in icmps.iter().flat_map(|rule| &rule.fields) {
        ranges.push(if field.v6 {
            ServiceRange::Icmpv6(field.icmp_type)
        } else {
            ServiceRange::Icmp(field.icmp_type)
        });
    }
    ranges.sort_unstable();
    ranges.dedup();
    Some(Services::Only(ranges))
}

/// `ANY` is TCP, UDP and SCTP. Named ports match nothing in a host policy: the
/// host has no container ports that could carry the name.
fn port_ranges(entry: &PortProtocol) -> Vec<ServiceRange> {
    let (first, last) = match entry.port {
        Port::All => (0, u16::MAX),
        Port::Range(first, last) => (first, last),
        Port::Named(_) => return Vec::new(),
    };
    let ports = |protocol| ServiceRange::Ports {
        protocol,
        first,
        last,
    };
    match entry.protocol {
        Protocol::Any => PORT_PROTOCOLS.into_iter().map(ports).collect(),
        Protocol::Number(number) if PORT_PROTOCOLS.contains(&number) => vec![ports(number)],
        Protocol::Number(number) => vec![ServiceRange::Protocol(number)],
    }
}
