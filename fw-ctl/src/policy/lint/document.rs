//! What a document shows by itself: rules that can never match, and default deny
//! switched on by what only denies.

use std::sync::Arc;

use ipnet::IpNet;

use super::super::rules::groups as named_groups;
use super::super::schema::{
    CidrGroup, CidrRule, CidrSelector, Item, PolicyDocument, Port, Spec, Subject,
};
use super::warning;
use crate::diagnostic::Diagnostic;

/// Adds what is wrong with the specs that select nodes.
pub(super) fn check(
    document: &PolicyDocument,
    groups: &[Arc<CidrGroup>],
    found: &mut Vec<Diagnostic>,
) {
    for spec in &document.specs {
        if !matches!(spec.subject, Subject::Nodes(_)) {
            continue;
        }
        deny_only(document, spec, found);
        let lists = [
            (&spec.ingress, false),
            (&spec.ingress_deny, true),
            (&spec.egress, false),
            (&spec.egress_deny, true),
        ];
        for (items, deny) in lists {
            for item in items {
                let verb = if deny { "denies" } else { "allows" };
                if let Some((reason, help)) = never_matches(item, deny, groups) {
                    let message = format!("this rule {verb} nothing: {reason}");
                    let mut warning =
                        warning(&document.source, item.span, item.path.clone(), message);
                    warning.help = help;
                    found.push(warning);
                } else {
                    unknown_groups(document, item, groups, found);
                }
            }
        }
    }
}

/// `ingressDeny` alone drops everything, which is seldom what was meant.
fn deny_only(document: &PolicyDocument, spec: &Spec, found: &mut Vec<Diagnostic>) {
    let directions = [
        (
            "ingress",
            &spec.ingress,
            &spec.ingress_deny,
            spec.default_deny_ingress,
        ),
        (
            "egress",
            &spec.egress,
            &spec.egress_deny,
            spec.default_deny_egress,
        ),
    ];
    for (name, allow, deny, switch) in directions {
        let Some(first) = deny.first() else { continue };
        if allow.is_empty() && switch.is_none() {
            let message = format!(
                "this spec only denies, and so switches default deny on: all {name} that no \
                 other policy allows is dropped"
            );
            let mut warning = warning(&document.source, first.span, first.path.clone(), message);
            warning.help = Some(format!(
                "to drop only what is named, write `enableDefaultDeny: {{{name}: false}}`"
            ));
            found.push(warning);
        }
    }
}

/// Why an item can match nothing, whatever the inventory. An empty item in an
/// allow list is the usual way to write "default deny" and is left alone.
fn never_matches(
    item: &Item,
    deny: bool,
    groups: &[Arc<CidrGroup>],
) -> Option<(String, Option<String>)> {
    let empty = [
        ("Endpoints", item.endpoints.as_ref().map(Vec::len)),
        ("Entities", item.entities.as_ref().map(Vec::len)),
        ("CIDR", item.cidr.as_ref().map(Vec::len)),
        ("CIDRSet", item.cidr_set.as_ref().map(Vec::len)),
        ("Nodes", item.nodes.as_ref().map(Vec::len)),
    ];
    if let Some((name, _)) = empty.iter().find(|(_, length)| *length == Some(0)) {
        let reason = format!("the list `from{name}` or `to{name}` is empty and selects nobody");
        return Some((
            reason,
            Some("leave the field out to mean everybody".to_owned()),
        ));
    }
    let ports = item.to_ports.as_deref().unwrap_or_default();
    let icmps = item.icmps.as_deref().unwrap_or_default();
    let has_peers = empty.iter().any(|(_, length)| length.is_some());
    if ports.is_empty() && icmps.is_empty() && !has_peers {
        let reason = "it names neither peers nor ports".to_owned();
        let help = "to deny everybody, write `fromEntities: [all]` or `toEntities: [all]`";
        return deny.then(|| (reason, Some(help.to_owned())));
    }
    let entries: Vec<_> = ports.iter().flat_map(|rule| &rule.ports).collect();
    let fields = icmps.iter().map(|rule| rule.fields.len()).sum::<usize>();
    if !(ports.is_empty() && icmps.is_empty()) && entries.is_empty() && fields == 0 {
        return Some(("`toPorts` or `icmps` names nothing".to_owned(), None));
    }
    let named = |port: &Port| matches!(port, Port::Named(_));
    if !entries.is_empty() && entries.iter().all(|entry| named(&entry.port)) {
        let reason = "named ports match nothing in a host policy".to_owned();
        return Some((reason, Some("write the number of the port".to_owned())));
    }
    let set = item.cidr_set.as_ref()?;
    let reasons: Option<Vec<_>> = set.iter().map(|rule| empty_set(rule, groups)).collect();
    reasons?.into_iter().next()
}

/// Why an entry of a CIDR set holds no address, and what to do about it.
fn empty_set(rule: &CidrRule, groups: &[Arc<CidrGroup>]) -> Option<(String, Option<String>)> {
    let excepted = |prefix: &IpNet| {
        let mut except = rule.except.iter();
        except.any(|part| part.value.contains(prefix))
    };
    let nothing_left = || "`except` leaves nothing of the CIDR".to_owned();
    if let CidrSelector::Cidr(cidr) = &rule.selector {
        return excepted(&cidr.value).then(|| (nothing_left(), None));
    }
    let named: Vec<_> = named_groups(rule, groups).collect();
    let mut live = named.iter().flat_map(|group| group.live()).peekable();
    if live.peek().is_some() {
        let none = live.all(|(prefix, _)| excepted(&prefix));
        return none.then(|| (nothing_left(), None));
    }
    let help = match (&rule.selector, &named[..]) {
        // As `validate` has one kind of argument only.
        (CidrSelector::Group(_), []) => {
            Some("lists and objects of the inventory are read with --inventory DIR".to_owned())
        }
        _ => None,
    };
    let reason = match (&rule.selector, &named[..]) {
        (CidrSelector::Group(name), []) => {
            format!("there is no CiliumCIDRGroup and no list `{}`", name.value)
        }
        (CidrSelector::Group(_), [group, ..]) if !group.prefixes.is_empty() => {
            format!(
                "every entry of `{}` ({}) has expired",
                group.name,
                group.place()
            )
        }
        (CidrSelector::Group(_), [group, ..]) if group.line.is_none() => {
            format!("the list `{}` ({}) is empty", group.name, group.place())
        }
        (CidrSelector::Group(name), _) => {
            format!("the CiliumCIDRGroup `{}` is empty", name.value)
        }
        _ => "the `cidrGroupSelector` selects no CiliumCIDRGroup with a CIDR".to_owned(),
    };
    Some((reason, help))
}

/// Groups that hold nothing, in rules that have other peers.
fn unknown_groups(
    document: &PolicyDocument,
    item: &Item,
    groups: &[Arc<CidrGroup>],
    found: &mut Vec<Diagnostic>,
) {
    for rule in item.cidr_set.iter().flatten() {
        if let Some((reason, help)) = empty_set(rule, groups) {
            let message = format!("this entry selects nobody: {reason}");
            let path = item.path.clone();
            let mut warning = warning(&document.source, rule.span, path, message);
            warning.help = help;
            found.push(warning);
        }
    }
}
