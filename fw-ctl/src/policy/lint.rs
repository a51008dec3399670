//! What is accepted, but probably not what was meant.
//!
//! [`document`] finds what a document shows by itself, [`plan`] what only the
//! compiled whole shows: rules that never decide anything.

mod document;
mod overruled;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use plan::SELECTS_NOBODY;

use super::label::LabelSet;
use super::rules::CidrMatchMode;
use super::schema::{CidrGroup, LabelSelector, PolicyDocument, Subject};
use crate::compile::Failsafe;
use crate::diagnostic::{Diagnostic, Severity, Source, Span};
use crate::inventory::{Identities, Inventory, Labels, NodeView};

/// What is linted, and what is known of the nodes.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The policies, in document order.
    pub documents: &'a [PolicyDocument],
    /// CIDR groups from policies and inventory.
    pub groups: &'a [Arc<CidrGroup>],
    /// The inventory; `None`: every address is world, and each policy is taken to
    /// select the node.
    pub inventory: Option<&'a Inventory>,
    /// One node; `None`: every node of the inventory.
    pub node: Option<&'a str>,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Which identities CIDR rules may match.
    pub cidr_match_mode: CidrMatchMode,
    /// What always passes, before any policy.
    pub failsafe: &'a [Failsafe],
}

/// Warnings, in the order of the files; none twice.
#[must_use]
pub fn lint(input: &Input<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for document in input.documents {
        document::check(document, input.groups, &mut found);
    }
    match input.inventory {
        Some(inventory) => with_inventory(input, inventory, &mut found),
        None => {
            for document in input.documents {
                let assumed = [selecting_every_node(document)];
                let subject = plan::Subject {
                    documents: &assumed,
                    view: &unknown_node(),
                    inventory: None,
                };
                plan::check(input, &subject, &mut found);
            }
        }
    }
    in_order(found, input.documents)
}

fn with_inventory(input: &Input<'_>, inventory: &Inventory, found: &mut Vec<Diagnostic>) {
    let names: Vec<&str> = match input.node {
        Some(name) => vec![name],
        None => inventory.nodes.keys().map(String::as_str).collect(),
    };
    let views: Vec<NodeView> = names
        .iter()
        .map(|name| inventory.view(name, &Labels::new(), input.cluster))
        .collect();
    if input.node.is_none() && !views.is_empty() {
        for document in input.documents {
            selects_nobody(document, &views, found);
        }
    }
    for view in &views {
        let subject = plan::Subject {
            documents: input.documents,
            view,
            inventory: Some(inventory),
        };
        plan::check(input, &subject, found);
    }
}

/// A node of which nothing is known.
fn unknown_node() -> NodeView {
    NodeView {
        labels: LabelSet::default(),
        addresses: std::collections::BTreeSet::new(),
        identities: Identities::default(),
    }
}

/// The document, with every `nodeSelector` selecting every node.
fn selecting_every_node(document: &PolicyDocument) -> PolicyDocument {
    let mut document = document.clone();
    for spec in &mut document.specs {
        if let Subject::Nodes(selector) = &mut spec.subject {
            *selector = LabelSelector::default();
        }
    }
    document
}

/// A `nodeSelector` that selects no node leaves every node open.
fn selects_nobody(document: &PolicyDocument, views: &[NodeView], found: &mut Vec<Diagnostic>) {
    for spec in &document.specs {
        let Subject::Nodes(selector) = &spec.subject else {
            continue;
        };
        if views.iter().any(|view| selector.matches(&view.labels)) {
            continue;
        }
        let mut warning = warning(
            &document.source,
            selector.span,
            format!("{}.nodeSelector", spec.path),
            "selects no node of the inventory: this policy protects nothing",
        );
        warning.help = near_miss(selector, views);
        found.push(warning);
    }
}

/// The values that nodes have for the first requirement that none satisfies.
fn near_miss(selector: &LabelSelector, views: &[NodeView]) -> Option<String> {
    let unmet = selector
        .requirements
        .iter()
        .find(|requirement| !views.iter().any(|view| requirement.matches(&view.labels)))?;
    let mut values: Vec<&str> = views
        .iter()
        .flat_map(|view| view.labels.selected(&unmet.key))
        .map(|label| label.value.as_str())
        .collect();
    values.sort_unstable();
    values.dedup();
    if values.is_empty() {
        return Some(format!("no node has a label `{}`", unmet.key));
    }
    let values: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
    Some(format!(
        "nodes have `{}` with {}",
        unmet.key,
        values.join(", ")
    ))
}

/// A warning without help.
fn warning(
    source: &Arc<Source>,
    span: Span,
    path: impl Into<String>,
    message: impl Into<String>,
) -> Diagnostic {
    Diagnostic::new(Severity::Warning, source, Some(span), path, message)
}

/// In the order of files and lines; what several nodes gave is said once.
fn in_order(mut found: Vec<Diagnostic>, documents: &[PolicyDocument]) -> Vec<Diagnostic> {
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for document in documents {
        let next = files.len();
        files.entry(&document.source.name).or_insert(next);
    }
    found.sort_by_key(|one| (files.get(one.source.name.as_str()).copied(), one.span));
    let mut seen = std::collections::HashSet::new();
    found.retain(|one| {
        seen.insert((
            one.source.name.clone(),
            one.span,
            one.path.clone(),
            one.message.clone(),
        ))
    });
    found
}
