//! Fields that Cilium enforces and fw-ctl does not (yet). A policy that uses one
//! must not be loaded: nobody shall believe in protection that is not there.

use std::sync::Arc;

use super::super::schema::{Item, PolicyDocument, Spec};
use crate::diagnostic::{Diagnostic, Severity, Span};

/// An error for every use of such a field in a spec.
pub(super) fn unenforced(document: &PolicyDocument, spec: &Spec) -> Vec<Diagnostic> {
    let lists = [
        (&spec.ingress, "from"),
        (&spec.ingress_deny, "from"),
        (&spec.egress, "to"),
        (&spec.egress_deny, "to"),
    ];
    let mut out = Vec::new();
    for (items, twin) in lists {
        for item in items {
            for (span, path, what) in uses(item, twin) {
                out.push(Diagnostic {
                    severity: Severity::Error,
                    source: Arc::clone(&document.source),
                    span: Some(span),
                    path: format!("{}.{path}", item.path),
                    message: format!(
                        "not enforced by fw-ctl: {what} in `{}`, which selects this node",
                        document.name
                    ),
                    label: None,
                    help: Some("take the field out, or let another program enforce it".to_owned()),
                });
            }
        }
    }
    out
}

/// Place, path below the item, and name of each field in use.
fn uses(item: &Item, twin: &str) -> Vec<(Span, String, String)> {
    let mut found = Vec::new();
    let mut add = |span, path: String, what: &str| found.push((span, path, format!("`{what}`")));
    for (i, span) in item.groups.iter().flatten().enumerate() {
        add(
            *span,
            format!("{twin}Groups[{i}]"),
            &format!("{twin}Groups"),
        );
    }
    for (i, span) in item.services.iter().flatten().enumerate() {
        add(*span, format!("toServices[{i}]"), "toServices");
    }
    for (i, name) in item.fqdns.iter().flatten().enumerate() {
        add(name.span, format!("toFQDNs[{i}]"), "toFQDNs");
    }
    for (i, rule) in item.to_ports.iter().flatten().enumerate() {
        for l7 in &rule.l7 {
            let name = l7.value;
            let path = format!("toPorts[{i}].rules.{name}");
            add(l7.span, path, &format!("rules.{name}"));
        }
        for proxy in &rule.proxy {
            add(
                proxy.span,
                format!("toPorts[{i}].{}", proxy.value),
                proxy.value,
            );
        }
    }
    if let Some(mode) = &item.authentication
        && mode.value != "disabled"
    {
        add(
            mode.span,
            "authentication.mode".to_owned(),
            &format!("authentication.mode: {}", mode.value),
        );
    }
    found
}
