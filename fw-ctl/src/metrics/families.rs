//! Which number stands under which name.
//!
//! Labels have few values: directions, verdicts and reasons are fixed; rules and interfaces
//! are told up to a limit (`daemon/numbers.rs`), and how many are left out.

use super::compat;
use super::definitions as define;
use super::family::Family;
use super::{Numbers, RuleNumbers};
use crate::observe::Told;

/// All of them, in the order of [`super::OWN`]; then those of [`super::CILIUM`], if
/// `cilium_names`.
#[must_use]
pub fn families(numbers: &Numbers, cilium_names: bool) -> Vec<Family> {
    let mut all = state(numbers);
    all.extend(packets(numbers));
    all.extend(rules(numbers));
    all.extend(tables(numbers));
    all.extend(interfaces(numbers));
    all.extend(daemon(numbers));
    if cilium_names {
        all.extend(compat::families(numbers));
    }
    all
}

fn state(numbers: &Numbers) -> Vec<Family> {
    let build = [numbers.version.clone(), numbers.tables.to_string()];
    let modes = ["audit", "enforce", "none"];
    let modes = modes.map(|name| ([name.to_owned()], (numbers.mode == name).into()));
    let problems = numbers.problems.len() as u64;
    vec![
        Family::of(&define::BUILD, [(build, 1)]),
        Family::of(&define::MODE, modes),
        Family::single(&define::JUDGING, numbers.judging.into()),
        Family::single(&define::DEGRADED, (problems > 0).into()),
        Family::single(&define::PROBLEMS, problems),
        Family::single(&define::GENERATION, numbers.generation),
        Family::single(&define::POLICIES, numbers.policies),
    ]
}

fn packets(numbers: &Numbers) -> [Family; 2] {
    let labels = numbers.packets.iter().map(|of| {
        let labels = [&of.direction, &of.verdict, &of.reason].map(String::clone);
        (labels, of)
    });
    let packets = labels.clone().map(|(labels, of)| (labels, of.packets));
    [
        Family::of(&define::PACKETS, packets),
        Family::of(
            &define::BYTES,
            labels.map(|(labels, of)| (labels, of.bytes)),
        ),
    ]
}

fn rules(numbers: &Numbers) -> [Family; 4] {
    let labels = |rule: &RuleNumbers| {
        [&rule.direction, &rule.policy, &rule.rule, &rule.verdict].map(String::clone)
    };
    let rules = numbers.rules.iter();
    let packets = rules.clone().map(|rule| (labels(rule), rule.packets));
    let bytes = rules.clone().map(|rule| (labels(rule), rule.bytes));
    let limited = rules.filter_map(|rule| Some((labels(rule), rule.limited?)));
    [
        Family::of(&define::RULE_PACKETS, packets),
        Family::of(&define::RULE_BYTES, bytes),
        Family::of(&define::RULE_LIMITED, limited),
        Family::single(&define::RULES_LEFT_OUT, numbers.more_rules),
    ]
}

fn tables(numbers: &Numbers) -> [Family; 6] {
    let connections = numbers.connections;
    let maps = numbers.maps.iter();
    let entries = maps.clone().map(|map| ([map.map.clone()], map.entries));
    let limits = maps.map(|map| ([map.map.clone()], map.limit));
    [
        Family::single(&define::CONNTRACK_ENTRIES, connections.live),
        Family::single(&define::CONNTRACK_LIMIT, connections.capacity),
        Family::single(&define::CONNTRACK_BEGUN, connections.begun),
        Family::single(&define::CONNTRACK_DISPLACED, connections.displaced),
        Family::of(&define::MAP_ENTRIES, entries),
        Family::of(&define::MAP_LIMIT, limits),
    ]
}

fn interfaces(numbers: &Numbers) -> [Family; 3] {
    let interfaces = numbers.interfaces.iter();
    let interfaces = interfaces.map(|interface| {
        let (name, ingress) = (interface.name.clone(), interface.ingress.clone());
        ([name, ingress, "tc".to_owned()], 1)
    });
    [
        Family::of(&define::INTERFACE, interfaces),
        Family::single(&define::INTERFACE_GAPS, numbers.gaps),
        Family::single(&define::INTERFACES_LEFT_OUT, numbers.more_interfaces),
    ]
}

fn daemon(numbers: &Numbers) -> [Family; 6] {
    let outcomes = [
        ("applied", numbers.reloads.count()),
        ("refused", numbers.refused),
    ];
    let outcomes = outcomes.map(|(outcome, count)| ([outcome.to_owned()], count));
    let events = numbers.events.iter().map(|(kind, count)| {
        let verdict = match kind.told {
            Told::Allow => "allowed",
            Told::Deny => "dropped",
            Told::Audit => "audited",
        };
        ([verdict, kind.protocol].map(str::to_owned), count)
    });
    [
        Family::of(&define::RELOADS, outcomes),
        numbers.reloads.family(&define::RELOAD_DURATION),
        Family::of(&define::EVENTS, events),
        Family::single(&define::EVENTS_LOST, numbers.lost_events),
        Family::single(&define::EVENTS_MISSED, numbers.events.missed()),
        Family::single(&define::SCRAPES_DISPLACED, numbers.displaced),
    ]
}

#[cfg(test)]
mod tests {
    use crate::metrics::{CILIUM, Definition, Format, Numbers, OWN, families, render};

    /// `fw-ctl metrics list` prints the definitions: nothing else may be told, and nothing less.
    #[test]
    fn what_is_told_is_what_is_defined_and_in_that_order() {
        let names = |definitions: &[&Definition]| {
            let names = definitions.iter().map(|definition| definition.name);
            names.collect::<Vec<_>>()
        };
        let numbers = Numbers::default();
        for (cilium, expected) in [
            (false, names(&OWN)),
            (true, [names(&OWN), names(&CILIUM)].concat()),
        ] {
            let families = families(&numbers, cilium);
            let told = families.iter().map(|family| family.definition.name);
            assert_eq!(told.collect::<Vec<_>>(), expected);
            let text = render(&families, Format::Prometheus);
            let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
            let helps = helps.filter_map(|line| line.split(' ').next());
            assert_eq!(helps.collect::<Vec<_>>(), expected);
        }
    }
}
