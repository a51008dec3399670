//! The peers of a rule: what they mean, for comparison, and how they are called.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::Addresses;
use crate::policy::decode::ENTITIES;
use crate::policy::label::{CLUSTER, K8S, LabelKey, NAMESPACE, RESERVED};
use crate::policy::rules::{PeerSelector, Peers};
use crate::policy::schema::{LabelSelector, Operator, Requirement};

/// Equal where two rules mean the same peers, for all that can be said without an
/// inventory: in which order prefixes and labels are written, and whether prefixes are
/// cut or whole, does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Meant {
    /// Everybody.
    Any,
    /// These.
    Only {
        /// Selectors of labels, in one way to write them.
        labels: BTreeSet<String>,
        /// What CIDR rules mean.
        addresses: Addresses,
        /// CIDR groups with what is excepted, by name: what they hold is no part of a rule.
        groups: BTreeSet<(String, Vec<IpNet>)>,
    },
}

impl Meant {
    pub(super) fn of(peers: &Peers) -> Self {
        let Peers::Only(selectors) = peers else {
            return Self::Any;
        };
        let (mut labels, mut groups) = (BTreeSet::new(), BTreeSet::new());
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        for selector in selectors {
            match selector {
                PeerSelector::Labels(selector) => {
                    labels.insert(canonical(selector));
                }
                PeerSelector::Group(block) => {
                    groups.insert((block.group.name.clone(), block.except.clone()));
                }
                PeerSelector::Cidr(block) if block.except.is_empty() => whole.push(block.cidr),
                PeerSelector::Cidr(block) => {
                    let except = Addresses::of(block.except.iter().copied());
                    parts.push(Addresses::of([block.cidr]).without(&except));
                }
            }
        }
        parts.push(Addresses::of(whole));
        Self::Only {
            labels,
            addresses: Addresses::union(parts.iter()),
            groups,
        }
    }
}

/// One text for all ways to write a selector.
fn canonical(selector: &LabelSelector) -> String {
    let sorted = |values: &Vec<String>| {
        let sorted: BTreeSet<&String> = values.iter().collect();
        sorted.into_iter().cloned().collect()
    };
    let texts = selector.requirements.iter().map(|requirement| {
        let mut requirement = requirement.clone();
        match &mut requirement.operator {
            Operator::In(values) | Operator::NotIn(values) => *values = sorted(values),
            Operator::Exists | Operator::DoesNotExist => {}
        }
        requirement.to_string()
    });
    let texts: BTreeSet<String> = texts.collect();
    texts.into_iter().collect::<Vec<_>>().join(", ")
}

/// What the peers are called: entities by name, labels as a policy has them, prefixes.
pub(super) fn names(peers: &Peers, cluster: &str) -> Vec<String> {
    let selectors = match peers {
        Peers::Any => return vec!["everybody".to_owned()],
        Peers::Only(none) if none.is_empty() => return vec!["nobody".to_owned()],
        Peers::Only(selectors) => selectors,
    };
    let mut labels: Vec<&LabelSelector> = Vec::new();
    let mut names = Vec::new();
    for selector in selectors {
        match selector {
            PeerSelector::Labels(selector) => labels.push(selector),
            PeerSelector::Cidr(block) => names.push(but(block.cidr.to_string(), &block.except)),
            PeerSelector::Group(block) => {
                let name = format!("CIDR group {}", block.group.name);
                names.push(but(name, &block.except));
            }
        }
    }
    let mut entities = entities(&mut labels, cluster);
    entities.extend(labels.into_iter().map(|selector| called(selector, cluster)));
    entities.append(&mut names);
    entities
}

fn but(name: String, except: &[IpNet]) -> String {
    if except.is_empty() {
        return name;
    }
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    format!("{name} but {}", except.join(" "))
}

/// The entities that are whole among the selectors, which are taken out: those that stand
/// for most first.
fn entities(labels: &mut Vec<&LabelSelector>, cluster: &str) -> Vec<String> {
    let entities = ENTITIES.iter();
    let mut known: Vec<_> = entities
        .map(|(name, entity)| (*name, entity.selectors(cluster)))
        .filter(|(_, selectors)| !selectors.is_empty())
        .collect();
    known.sort_by_key(|(_, selectors)| std::cmp::Reverse(selectors.len()));
    let mut found = Vec::new();
    for (name, selectors) in known {
        if selectors.iter().all(|selector| labels.contains(&selector)) {
            labels.retain(|selector| !selectors.contains(selector));
            found.push(name.to_owned());
        }
    }
    found
}

/// `pods with app=web in shop`, `nodes with role=cp`; without what scoping has added.
fn called(selector: &LabelSelector, cluster: &str) -> String {
    let is = |key: &LabelKey, source: &str, name: &str| key.source == source && key.key == name;
    let (mut kind, mut namespace) = ("", None);
    let own = |requirement: &&Requirement| {
        let Requirement { key, operator, .. } = *requirement;
        match operator {
            Operator::Exists if is(key, RESERVED, "remote-node") => kind = "nodes",
            Operator::Exists if is(key, K8S, NAMESPACE) => kind = "pods",
            Operator::In(values) if key.key == NAMESPACE && key.source != RESERVED => {
                kind = "pods";
                namespace = Some(values.join(" or "));
            }
            Operator::In(values) if is(key, K8S, CLUSTER) && *values == [cluster] => {}
            _ => return true,
        }
        false
    };
    let requirements = selector.requirements.iter().filter(own);
    let texts: Vec<_> = requirements.map(ToString::to_string).collect();
    let kind = if kind.is_empty() { "whoever" } else { kind };
    let with = if texts.is_empty() {
        String::new()
    } else {
        format!(" with {}", texts.join(", "))
    };
    let namespace = namespace.map(|name| format!(" in {name}"));
    format!("{kind}{with}{}", namespace.unwrap_or_default())
}
