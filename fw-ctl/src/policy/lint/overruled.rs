//! Deny rules that failsafe entries overrule: a policy that denies what always passes
//! looks as if it held, and does not.

use std::net::IpAddr;

use fw_common::wire::Direction;

use super::super::rules::{
    CidrMatchMode, PeerSelector, Peers, Rule, RuleSet, ServiceRange, Services,
};
use super::plan::at;
use crate::compile::Failsafe;
use crate::diagnostic::Diagnostic;
use crate::inventory::Identities;

/// A warning for each deny rule, and the first entry that takes something of it back.
pub(super) fn check(
    rules: &RuleSet,
    failsafe: &[Failsafe],
    identities: &Identities,
    mode: CidrMatchMode,
    found: &mut Vec<Diagnostic>,
) {
    for (direction, key) in [
        (Direction::Ingress, "failsafe.inbound"),
        (Direction::Egress, "failsafe.outbound"),
    ] {
        let here = failsafe.iter().filter(|entry| entry.direction == direction);
        let here: Vec<_> = here.enumerate().collect();
        for rule in rules
            .direction(direction)
            .rules
            .iter()
            .filter(|rule| rule.deny)
        {
            let mut entries = here.iter();
            let overrules = |entry: &Failsafe| {
                share_services(rule, entry) && share_peers(rule, entry, identities, mode)
            };
            let Some((i, entry)) = entries.find(|(_, entry)| overrules(entry)) else {
                continue;
            };
            let message = format!(
                "this rule denies what `{key}[{i}]` ({}) lets pass: {entry}; the failsafe wins",
                entry.place()
            );
            let mut warning = at(&rule.origin, message);
            warning.help(
                "failsafe entries are judged before policy; to deny it nevertheless, take it out \
                 of `[failsafe]`, or give the entry a narrower `cidr`",
            );
            found.push(warning);
        }
    }
}

fn share_services(rule: &Rule, entry: &Failsafe) -> bool {
    match &rule.services {
        Services::All => !entry.services.is_empty(),
        Services::Only(ranges) => ranges
            .iter()
            .any(|range| entry.services.iter().any(|other| overlap(*range, *other))),
    }
}

/// Of two ranges that overlap one holds where the other begins.
fn overlap(one: ServiceRange, other: ServiceRange) -> bool {
    one.contains(other.example()) || other.contains(one.example())
}

/// Whether some address is meant by both: of prefixes that share any, one holds the
/// first of the other.
fn share_peers(
    rule: &Rule,
    entry: &Failsafe,
    identities: &Identities,
    mode: CidrMatchMode,
) -> bool {
    let mut candidates: Vec<IpAddr> = Vec::new();
    candidates.extend(
        entry
            .cidr
            .iter()
            .flat_map(|cidr| [cidr.network(), cidr.broadcast()]),
    );
    candidates.extend(
        identities
            .entries_with_world()
            .map(|(prefix, _)| prefix.network()),
    );
    if let Peers::Only(selectors) = &rule.peers {
        for selector in selectors {
            match selector {
                PeerSelector::Cidr(block) => candidates.extend(super::plan::corners(block)),
                PeerSelector::Group(block) => {
                    candidates.extend(block.live().map(|(prefix, _)| prefix.network()));
                }
                PeerSelector::Labels(_) => {}
            }
        }
    }
    let mut of_entry = candidates
        .into_iter()
        .filter(|address| entry.cidr.is_none_or(|cidr| cidr.contains(address)));
    of_entry.any(|address| rule.peers.matches(address, identities.of(address), mode))
}
