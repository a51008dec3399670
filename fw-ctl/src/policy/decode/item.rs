//! One item of `ingress`, `ingressDeny`, `egress` or `egressDeny`.
//! Source: Cilium `pkg/policy/api/{ingress,egress,rule_validation}.go`.

use super::cidr::{cidr_rule, prefixes};
use super::cursor::{Decoder, Field, Object};
use super::spec::List;
use super::{icmp, peer, port, selector};
use crate::diagnostic::Spanned;
use crate::policy::schema::{Entity, Item};

/// The fields that name peers; at most one of them may be non-empty.
const INGRESS_PEERS: [&str; 6] = [
    "fromEndpoints",
    "fromEntities",
    "fromCIDR",
    "fromCIDRSet",
    "fromNodes",
    "fromGroups",
];
const EGRESS_PEERS: [&str; 8] = [
    "toEndpoints",
    "toEntities",
    "toCIDR",
    "toCIDRSet",
    "toNodes",
    "toGroups",
    "toServices",
    "toFQDNs",
];

/// Reads one item of `list`; `host`: of a policy for nodes.
pub(super) fn item(cx: &mut Decoder, at: &Field<'_>, list: List, host: bool) -> Option<Item> {
    let object = cx.object(at, &known_fields(list))?;
    let field = |rest: &str| object.get(&format!("{}{rest}", list.prefix()));
    let key = |rest: &str| format!("{}{rest}", list.prefix());

    refuse_combinations(cx, &object, list);
    refuse_requires(cx, &object, &key("Requires"));
    let mut item = Item {
        path: at.path.clone(),
        span: at.span(),
        ..Item::default()
    };
    item.endpoints = field("Endpoints").and_then(|at| selector::label_selectors(cx, &at, host));
    item.entities = field("Entities").and_then(|at| peer::entities(cx, &at));
    item.cidr = field("CIDR").and_then(|at| prefixes(cx, &at));
    item.cidr_set = field("CIDRSet").and_then(|at| {
        let entries = cx.list(&at)?;
        Some(
            entries
                .iter()
                .filter_map(|entry| cidr_rule(cx, entry))
                .collect(),
        )
    });
    item.nodes = field("Nodes").and_then(|at| selector::label_selectors(cx, &at, host));
    item.groups = field("Groups").and_then(|at| peer::groups(cx, &at));
    if !list.is_ingress() {
        item.services = object
            .get("toServices")
            .and_then(|at| peer::services(cx, &at, host));
    }
    if list == List::Egress {
        item.fqdns = object.get("toFQDNs").and_then(|at| peer::fqdns(cx, &at));
    }
    for (rest, used) in [
        (
            "Groups",
            item.groups.as_ref().is_some_and(|list| !list.is_empty()),
        ),
        (
            "Services",
            item.services.as_ref().is_some_and(|list| !list.is_empty()),
        ),
        (
            "FQDNs",
            item.fqdns.as_ref().is_some_and(|list| !list.is_empty()),
        ),
    ] {
        if used {
            cx.not_enforced(&object, &key(rest), &key(rest));
        }
    }
    item.to_ports = object
        .get("toPorts")
        .and_then(|at| port::to_ports(cx, &at, list, host));
    item.icmps = object.get("icmps").and_then(|at| icmp::icmps(cx, &at));
    refuse_icmps_with_ports(cx, &object);
    if !list.is_deny() {
        item.authentication = authentication(cx, &object);
    }
    if host {
        warn_of_empty_lists(cx, &object, list);
        warn_of_reserved_only(cx, &item, &object, list);
    }
    Some(item)
}

fn known_fields(list: List) -> Vec<&'static str> {
    let mut known: Vec<&'static str> = if list.is_ingress() {
        INGRESS_PEERS.into_iter().chain(["fromRequires"]).collect()
    } else {
        EGRESS_PEERS.into_iter().chain(["toRequires"]).collect()
    };
    known.extend(["toPorts", "icmps"]);
    if list.is_deny() {
        known.retain(|field| *field != "toFQDNs");
    } else {
        known.push("authentication");
    }
    known
}

fn length(object: &Object<'_>, key: &str) -> usize {
    object
        .get(key)
        .and_then(|at| at.node.items())
        .map_or(0, <[_]>::len)
}

fn refuse_combinations(cx: &mut Decoder, object: &Object<'_>, list: List) {
    let peers: &[&str] = if list.is_ingress() {
        &INGRESS_PEERS
    } else {
        &EGRESS_PEERS
    };
    // In the order of the text, so that the second one written is complained about.
    let mut given: Vec<&str> = peers
        .iter()
        .copied()
        .filter(|key| length(object, key) > 0)
        .collect();
    given.sort_by_key(|key| object.key_span(key).start);
    if let [first, second, ..] = given[..] {
        cx.error_at_key(
            object,
            second,
            format!("`{first}` and `{second}` exclude each other"),
        )
        .help(format!(
            "make two items of it: `- {first}: …` and `- {second}: …`"
        ));
    }
}

/// Removed from Cilium; an empty list is still taken.
fn refuse_requires(cx: &mut Decoder, object: &Object<'_>, key: &str) {
    let Some(items) = object.get(key).and_then(|at| cx.list(&at)) else {
        return;
    };
    if !items.is_empty() {
        cx.error_at_key(object, key, format!("Cilium has removed `{key}`"))
            .help("a deny list with the labels turned around says the same");
    }
}

fn refuse_icmps_with_ports(cx: &mut Decoder, object: &Object<'_>) {
    if length(object, "icmps") > 0 && length(object, "toPorts") > 0 {
        let second = ["icmps", "toPorts"]
            .into_iter()
            .max_by_key(|key| object.key_span(key).start)
            .unwrap_or("icmps");
        cx.error_at_key(object, second, "`icmps` and `toPorts` exclude each other")
            .help("make two items of it, each with the same peers");
    }
}

fn authentication(cx: &mut Decoder, object: &Object<'_>) -> Option<Spanned<String>> {
    let at = object.get("authentication")?;
    let mode = cx.object(&at, &["mode"])?;
    let mode = cx.required(&mode, "mode")?;
    let known = ["disabled", "required", "test-always-fail"];
    let text = cx.one_of(&mode, "the mode", &known)?.to_owned();
    if text != "disabled" {
        cx.not_enforced(object, "authentication", "authentication");
    }
    Some(Spanned {
        value: text,
        span: mode.span(),
    })
}

/// An empty list of peers is nobody, which is seldom meant.
fn warn_of_empty_lists(cx: &mut Decoder, object: &Object<'_>, list: List) {
    let peers: &[&str] = if list.is_ingress() {
        &INGRESS_PEERS
    } else {
        &EGRESS_PEERS
    };
    for key in peers {
        let empty = object
            .get(key)
            .is_some_and(|at| at.node.items().is_some_and(<[_]>::is_empty));
        if empty {
            cx.warn_at_key(
                object,
                key,
                format!("`{key}: []` is nobody: this item matches nothing"),
            )
            .help("for everybody leave the field out");
        }
    }
}

/// `none` alone, too, matches nothing.
fn warn_of_reserved_only(cx: &mut Decoder, item: &Item, object: &Object<'_>, list: List) {
    let only_none = item.entities.as_ref().is_some_and(|entities| {
        !entities.is_empty() && entities.iter().all(|entity| entity.value == Entity::None)
    });
    if only_none {
        let key = format!("{}Entities", list.prefix());
        cx.warn_at_key(
            object,
            &key,
            "the entity none is nobody: this item matches nothing",
        );
    }
}
