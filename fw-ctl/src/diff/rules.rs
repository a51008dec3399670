//! Rules that are added, removed or changed: by what they mean, not by where they stand.
//!
//! A rule that means the same in the same policy is the same rule, whatever its number and
//! its file. Of what is left in a policy, those make a pair that share their peers or
//! their services, or else their name: changed. The rest was added or removed.

use std::collections::{BTreeSet, HashMap};

use fw_common::wire::Direction;

use super::peers::{Meant, names};
use super::services::ServiceSet;
use crate::policy::rate::Rate;
use crate::policy::rules::{Rule, RuleSet};
use crate::vlans::VlanSet;

/// One part of a rule as texts, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `verdict`, `peers`, `services`, `rate`, `vlans`.
    pub name: &'static str,
    /// What is not there any more.
    pub removed: Vec<String>,
    /// What has come.
    pub added: Vec<String>,
}

/// A rule by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which way.
    pub direction: Direction,
    /// The policy.
    pub policy: String,
    /// `ingress[0]`.
    pub rule: String,
    /// `path:line`.
    pub origin: String,
    /// What it says, part by part; `rate` and `vlans` only where it has them.
    pub says: Vec<(&'static str, Vec<String>)>,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleChange {
    /// It is new.
    Added(Named),
    /// It is gone.
    Removed(Named),
    /// It says something else.
    Changed {
        /// It before.
        from: Named,
        /// It now.
        to: Named,
        /// What differs.
        fields: Vec<Field>,
    },
}

impl RuleChange {
    /// The rule, as it is now if it still is.
    #[must_use]
    pub fn rule(&self) -> &Named {
        match self {
            Self::Added(rule) | Self::Removed(rule) | Self::Changed { to: rule, .. } => rule,
        }
    }
}

/// What a rule means, as values that are equal where the meaning is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Meaning {
    deny: bool,
    peers: Meant,
    services: ServiceSet,
    rate: Option<Rate>,
    vlans: Option<VlanSet>,
}

impl Meaning {
    fn of(rule: &Rule) -> Self {
        Self {
            deny: rule.deny,
            peers: Meant::of(&rule.peers),
            services: ServiceSet::of(&rule.services),
            rate: rule.rate,
            vlans: rule.vlans.clone(),
        }
    }
}

/// A rule of one side.
struct One<'a> {
    rule: &'a Rule,
    meaning: Meaning,
    direction: Direction,
}

/// The rules of one side, in order.
fn listed(rules: &RuleSet) -> Vec<One<'_>> {
    let both = [Direction::Ingress, Direction::Egress];
    let listed = both.into_iter().flat_map(|direction| {
        let rules = rules.direction(direction).rules.iter();
        rules.map(move |rule| One {
            rule,
            meaning: Meaning::of(rule),
            direction,
        })
    });
    listed.collect()
}

/// Every rule of one side, by what it says: ingress first, in the order of the documents.
/// `cluster` is the name of the cluster.
#[must_use]
pub fn said(rules: &RuleSet, cluster: &str) -> Vec<Named> {
    let listed = listed(rules);
    listed.iter().map(|one| named(one, cluster)).collect()
}

/// Every rule that is not on both sides. `clusters` are the names of their clusters.
#[must_use]
pub fn rules(from: &RuleSet, to: &RuleSet, clusters: [&str; 2]) -> Vec<RuleChange> {
    let (old, new) = (listed(from), listed(to));
    let mut partner_of_new: Vec<Option<usize>> = vec![None; new.len()];
    let mut left = left_of(&old, &new, &mut partner_of_new);
    let same: BTreeSet<usize> = (0..new.len())
        .filter(|number| partner_of_new[*number].is_some())
        .collect();
    for alike in [alike_in_part, alike_in_name] {
        pair(&old, &new, &mut left, &mut partner_of_new, alike);
    }
    // Each with its place: by policy, what is gone first, in the order of the documents.
    let mut changes = Vec::new();
    for number in left {
        let rule = named(&old[number], clusters[0]);
        changes.push(((false, number), RuleChange::Removed(rule)));
    }
    for (number, one) in new.iter().enumerate() {
        if same.contains(&number) {
            continue;
        }
        let to = named(one, clusters[1]);
        let change = match partner_of_new[number] {
            None => RuleChange::Added(to),
            Some(old_number) => {
                let from = named(&old[old_number], clusters[0]);
                let fields = fields(&from, &to);
                RuleChange::Changed { from, to, fields }
            }
        };
        changes.push(((true, number), change));
    }
    changes.sort_by(|(place, one), (other_place, other)| {
        let (one, other) = (one.rule(), other.rule());
        let key = (&one.policy, one.direction as u8, place);
        key.cmp(&(&other.policy, other.direction as u8, other_place))
    });
    changes.into_iter().map(|(_, change)| change).collect()
}

/// Where a rule can have a partner.
fn place<'a>(one: &One<'a>) -> (&'a str, u8) {
    (&one.rule.origin.policy, one.direction as u8)
}

/// Finds the partner of each new rule that means the same; returns the old ones without.
fn left_of(old: &[One<'_>], new: &[One<'_>], partner_of_new: &mut [Option<usize>]) -> Vec<usize> {
    let mut known: HashMap<_, Vec<usize>> = HashMap::new();
    for (number, one) in old.iter().enumerate().rev() {
        let key = (place(one), &one.meaning);
        known.entry(key).or_default().push(number);
    }
    for (one, partner) in new.iter().zip(partner_of_new) {
        let same = known.get_mut(&(place(one), &one.meaning));
        *partner = same.and_then(Vec::pop);
    }
    let mut left: Vec<usize> = known.into_values().flatten().collect();
    left.sort_unstable();
    left
}

/// By what rules of one policy are taken for one: anything that can be compared.
type Alike = fn(&One<'_>) -> Vec<Key>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Peers(Meant, String),
    Services(ServiceSet, String),
    PeersAnywhere(Meant),
    ServicesAnywhere(ServiceSet),
    Name(String),
}

fn alike_in_part(one: &One<'_>) -> Vec<Key> {
    let Meaning {
        peers, services, ..
    } = &one.meaning;
    let name = &one.rule.origin.rule;
    // Those of the same name first.
    vec![
        Key::Peers(peers.clone(), name.clone()),
        Key::Services(services.clone(), name.clone()),
        Key::PeersAnywhere(peers.clone()),
        Key::ServicesAnywhere(services.clone()),
    ]
}

fn alike_in_name(one: &One<'_>) -> Vec<Key> {
    vec![Key::Name(one.rule.origin.rule.clone())]
}

/// Makes pairs of what is left, in order.
fn pair(
    old: &[One<'_>],
    new: &[One<'_>],
    left: &mut Vec<usize>,
    partner_of_new: &mut [Option<usize>],
    alike: Alike,
) {
    let mut taken = BTreeSet::new();
    let keys = alike_keys(new, partner_of_new, alike);
    let kinds = keys.first().map_or(0, |(_, keys)| keys.len());
    for kind in 0..kinds {
        let mut known: HashMap<_, Vec<usize>> = HashMap::new();
        for number in left.iter().rev().filter(|number| !taken.contains(*number)) {
            let one = &old[*number];
            let key = alike(one).swap_remove(kind);
            known.entry((place(one), key)).or_default().push(*number);
        }
        for (number, keys) in &keys {
            if partner_of_new[*number].is_none()
                && let Some(same) = known.get_mut(&(place(&new[*number]), keys[kind].clone()))
                && let Some(partner) = same.pop()
            {
                partner_of_new[*number] = Some(partner);
                taken.insert(partner);
            }
        }
    }
    left.retain(|number| !taken.contains(number));
}

fn alike_keys(
    new: &[One<'_>],
    partner_of_new: &[Option<usize>],
    alike: Alike,
) -> Vec<(usize, Vec<Key>)> {
    let numbered = new.iter().enumerate().zip(partner_of_new);
    let alone = numbered.filter(|(_, partner)| partner.is_none());
    alone
        .map(|((number, one), _)| (number, alike(one)))
        .collect()
}

fn named(one: &One<'_>, cluster: &str) -> Named {
    let Rule {
        deny,
        peers,
        services: _,
        rate,
        vlans,
        origin,
    } = one.rule;
    let verdict = if *deny { "deny" } else { "allow" };
    let mut says = vec![
        ("verdict", vec![verdict.to_owned()]),
        ("peers", names(peers, cluster)),
        ("services", services(&one.meaning.services)),
    ];
    says.extend(rate.map(|rate| ("rate", vec![rate.to_string()])));
    says.extend(vlans.iter().map(|set| ("vlans", vec![set.to_string()])));
    Named {
        direction: one.direction,
        policy: origin.policy.to_string(),
        rule: origin.rule.clone(),
        origin: origin.place(),
        says,
    }
}

fn services(set: &ServiceSet) -> Vec<String> {
    if *set == ServiceSet::all() || set.is_empty() {
        return vec![set.to_string()];
    }
    set.texts()
}

/// What differs, part by part.
fn fields(from: &Named, to: &Named) -> Vec<Field> {
    let part = |side: &Named, name| {
        let mut parts = side.says.iter();
        let found = parts.find(|(of, _)| *of == name);
        found.map_or_else(Vec::new, |(_, texts)| texts.clone())
    };
    let differing = ["verdict", "peers", "services", "rate", "vlans"].map(|name| {
        let (old, new) = (part(from, name), part(to, name));
        let not_in = |these: &[String], others: &[String]| {
            let others: BTreeSet<&String> = others.iter().collect();
            let only = these.iter().filter(|text| !others.contains(text));
            only.cloned().collect::<Vec<_>>()
        };
        Field {
            name,
            removed: not_in(&old, &new),
            added: not_in(&new, &old),
        }
    });
    let differs = |field: &Field| !field.removed.is_empty() || !field.added.is_empty();
    differing.into_iter().filter(differs).collect()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
