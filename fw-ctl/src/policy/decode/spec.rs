//! One entry of `spec` or `specs`: what Cilium calls a rule.
//! Source: Cilium `pkg/policy/api/{rule,rule_validation}.go`.

use super::cursor::{Decoder, Field, Object};
use super::item::item;
use super::selector::label_selector;
use crate::policy::schema::{Item, PolicyKind, Spec, Subject};
use crate::printable::is_printable;

/// The four lists of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Ingress,
    IngressDeny,
    Egress,
    EgressDeny,
}

impl List {
    /// The field.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::IngressDeny => "ingressDeny",
            Self::Egress => "egress",
            Self::EgressDeny => "egressDeny",
        }
    }

    pub(super) fn is_ingress(self) -> bool {
        matches!(self, Self::Ingress | Self::IngressDeny)
    }

    pub(super) fn is_deny(self) -> bool {
        matches!(self, Self::IngressDeny | Self::EgressDeny)
    }

    /// What the names of its peer fields begin with.
    pub(super) fn prefix(self) -> &'static str {
        if self.is_ingress() { "from" } else { "to" }
    }
}

const LISTS: [List; 4] = [
    List::Ingress,
    List::IngressDeny,
    List::Egress,
    List::EgressDeny,
];

/// Reads one rule.
pub(super) fn spec(cx: &mut Decoder, at: &Field<'_>, kind: PolicyKind) -> Option<Spec> {
    let known = [
        "endpointSelector",
        "nodeSelector",
        "ingress",
        "ingressDeny",
        "egress",
        "egressDeny",
        "enableDefaultDeny",
        "labels",
        "description",
        "log",
    ];
    let object = cx.object(at, &known)?;
    let subject = subject(cx, &object, kind);
    let host = object.get("nodeSelector").is_some();
    let [ingress, ingress_deny, egress, egress_deny] =
        LISTS.map(|list| items(cx, &object, list, host));
    if LISTS.iter().all(|list| is_empty(&object, *list)) {
        cx.error(at, "the policy has no rule")
            .help("one of `ingress`, `ingressDeny`, `egress` and `egressDeny` needs an item; `ingress: [{}]` denies all ingress");
    }
    let (default_deny_ingress, default_deny_egress) = default_deny(cx, &object);
    labels(cx, &object);
    let description = object
        .get("description")
        .and_then(|at| cx.text(&at))
        .map(str::to_owned);
    let log = log(cx, &object);
    Some(Spec {
        path: at.path.clone(),
        span: at.span(),
        subject: subject?,
        default_deny_ingress,
        default_deny_egress,
        ingress,
        ingress_deny,
        egress,
        egress_deny,
        description,
        log,
    })
}

fn subject(cx: &mut Decoder, object: &Object<'_>, kind: PolicyKind) -> Option<Subject> {
    let nodes = object.get("nodeSelector");
    let endpoints = object.get("endpointSelector");
    if nodes.is_some() && endpoints.is_some() {
        let second = ["nodeSelector", "endpointSelector"]
            .into_iter()
            .max_by_key(|key| object.key_span(key).start)
            .unwrap_or("endpointSelector");
        cx.error_at_key(object, second, "`nodeSelector` and `endpointSelector` exclude each other")
            .help("keep nodeSelector for the host, endpointSelector for pods; for both write two entries in `specs`");
    } else if nodes.is_some() && kind == PolicyKind::Namespaced {
        cx.error_at_key(
            object,
            "nodeSelector",
            "a CiliumNetworkPolicy cannot select nodes",
        )
        .help("make it a CiliumClusterwideNetworkPolicy, without a namespace");
    }
    if let Some(at) = nodes {
        return label_selector(cx, &at, true).map(Subject::Nodes);
    }
    if let Some(at) = endpoints {
        let selector = label_selector(cx, &at, false);
        cx.warn_at_key(
            object,
            "endpointSelector",
            "no subject on this host: the policy is for pods",
        )
        .help("fw-ctl enforces policies with a `nodeSelector`");
        return selector.map(Subject::Endpoints);
    }
    let null = object
        .entries()
        .iter()
        .any(|(key, _)| key.value == "nodeSelector");
    cx.error(
        &object.field,
        "neither `nodeSelector` nor `endpointSelector` is given",
    )
    .help(if null {
        "an empty `nodeSelector:` is taken for absent: for every node write `nodeSelector: {}`"
    } else {
        "for every node write `nodeSelector: {}`"
    });
    None
}

fn is_empty(object: &Object<'_>, list: List) -> bool {
    object
        .get(list.key())
        .is_none_or(|at| at.node.items().is_some_and(<[_]>::is_empty))
}

fn items(cx: &mut Decoder, object: &Object<'_>, list: List, host: bool) -> Vec<Item> {
    let Some(entries) = object.get(list.key()).and_then(|at| cx.list(&at)) else {
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|entry| item(cx, entry, list, host))
        .collect()
}

fn default_deny(cx: &mut Decoder, object: &Object<'_>) -> (Option<bool>, Option<bool>) {
    let Some(at) = object.get("enableDefaultDeny") else {
        return (None, None);
    };
    let Some(switches) = cx.object(&at, &["ingress", "egress"]) else {
        return (None, None);
    };
    let mut read = |key: &str| switches.get(key).and_then(|at| cx.boolean(&at));
    let (ingress, egress) = (read("ingress"), read("egress"));
    for (key, value, lists) in [
        ("ingress", ingress, [List::Ingress, List::IngressDeny]),
        ("egress", egress, [List::Egress, List::EgressDeny]),
    ] {
        if value == Some(true) && lists.iter().all(|list| is_empty(object, *list)) {
            cx.warn_at_key(
                &switches,
                key,
                format!("without a rule for {key} this does nothing"),
            )
            .help(format!("to deny all {key} write `{key}: [{{}}]`"));
        }
    }
    (ingress, egress)
}

/// Labels of the rule itself: checked, and of no further use here.
fn labels(cx: &mut Decoder, object: &Object<'_>) {
    for entry in object
        .get("labels")
        .and_then(|at| cx.list(&at))
        .unwrap_or_default()
    {
        let Some(label) = cx.object(&entry, &["key", "value", "source"]) else {
            continue;
        };
        if let Some(key) = cx.required(&label, "key") {
            cx.text(&key);
        }
        for key in ["value", "source"] {
            if let Some(text) = label.get(key) {
                cx.text(&text);
            }
        }
    }
}

fn log(cx: &mut Decoder, object: &Object<'_>) -> Option<String> {
    /// The CRD's maxLength.
    const MAX_LOG: usize = 32;
    let at = object.get("log")?;
    let log = cx.object(&at, &["value"])?;
    let value = log.get("value")?;
    let text = cx.text(&value)?;
    if text.chars().count() > MAX_LOG {
        cx.error(
            &value,
            format!("the log value has {} characters", text.chars().count()),
        )
        .help(format!("at most {MAX_LOG}"));
    } else if !text.chars().all(is_printable) {
        cx.error(
            &value,
            "the log value has characters that cannot be printed",
        );
    }
    Some(text.to_owned())
}
