//! `metadata`, as people write it and as `kubectl get -o yaml` prints it.

use std::collections::BTreeMap;

use super::cursor::{Decoder, Field, Object};
use super::names::{is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name};
use crate::diagnostic::Spanned;
use crate::printable::quoted;

/// What of the metadata is used.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, Spanned<String>>,
}

/// Fields that the API server keeps; their type is checked, no more.
const SERVER_STRINGS: [&str; 6] = [
    "generateName",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "selfLink",
];
const SERVER_NUMBERS: [&str; 2] = ["generation", "deletionGracePeriodSeconds"];
const SERVER_LISTS: [&str; 3] = ["ownerReferences", "finalizers", "managedFields"];

/// Reads `metadata` of `object`; `namespaced`: whether the kind has a namespace.
pub(super) fn metadata(
    cx: &mut Decoder,
    object: &Object<'_>,
    kind: &str,
    namespaced: bool,
) -> Option<Metadata> {
    let at = cx.required(object, "metadata")?;
    let known: Vec<&str> = ["name", "namespace", "labels", "annotations"]
        .into_iter()
        .chain(SERVER_STRINGS)
        .chain(SERVER_NUMBERS)
        .chain(SERVER_LISTS)
        .collect();
    let metadata = cx.object(&at, &known)?;
    server_fields(cx, &metadata);
    let labels = metadata
        .get("labels")
        .map(|at| labels(cx, &at))
        .unwrap_or_default();
    let annotations = metadata
        .get("annotations")
        .map(|at| annotations(cx, &at))
        .unwrap_or_default();
    let namespace = namespace(cx, &metadata, kind, namespaced);
    Some(Metadata {
        name: name(cx, &metadata)?,
        namespace,
        labels,
        annotations,
    })
}

fn server_fields(cx: &mut Decoder, metadata: &Object<'_>) {
    for key in SERVER_STRINGS {
        if let Some(at) = metadata.get(key) {
            cx.text(&at);
        }
    }
    for key in SERVER_NUMBERS {
        if let Some(at) = metadata.get(key) {
            cx.int(&at, 0..=i64::MAX);
        }
    }
    for key in SERVER_LISTS {
        if let Some(at) = metadata.get(key) {
            cx.list(&at);
        }
    }
}

fn name(cx: &mut Decoder, metadata: &Object<'_>) -> Option<String> {
    let at = cx.required(metadata, "name")?;
    let text = cx.text(&at)?;
    if text.is_empty() {
        cx.error(&at, "the name is empty");
    } else if !is_dns_subdomain(text) {
        let lower = text.to_lowercase().replace(['_', ' ', '/'], "-");
        let found = cx.error(
            &at,
            format!("{} is not a name that Kubernetes takes", quoted(text)),
        );
        found.help("lower case letters, digits, `-` and `.`, at most 253");
        if is_dns_subdomain(&lower) {
            found.label(format!("for example {lower}"));
        }
    }
    Some(text.to_owned())
}

fn namespace(
    cx: &mut Decoder,
    metadata: &Object<'_>,
    kind: &str,
    namespaced: bool,
) -> Option<String> {
    let at = metadata.get("namespace")?;
    let text = cx.text(&at)?;
    if !namespaced {
        cx.warn_at_key(
            metadata,
            "namespace",
            format!("a {kind} has no namespace: it is ignored"),
        )
        .help("leave it out");
        return None;
    }
    if !is_dns_label(text) {
        cx.error(
            &at,
            format!("{} is not the name of a namespace", quoted(text)),
        )
        .help("lower case letters, digits and `-`, at most 63");
    }
    Some(text.to_owned())
}

fn labels(cx: &mut Decoder, at: &Field<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, value) in cx.string_map(at) {
        let text = value.node.as_str().unwrap_or_default().to_owned();
        check_key(cx, key, &value);
        if !is_label_value(&text) {
            cx.error(&value, format!("{} is not the value of a label", quoted(&text)))
                .help("at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit");
        }
        labels.insert(key.value.clone(), text);
    }
    labels
}

fn annotations(cx: &mut Decoder, at: &Field<'_>) -> BTreeMap<String, Spanned<String>> {
    let mut annotations = BTreeMap::new();
    for (key, value) in cx.string_map(at) {
        check_key(cx, key, &value);
        let text = value.node.as_str().unwrap_or_default().to_owned();
        annotations.insert(
            key.value.clone(),
            Spanned {
                value: text,
                span: value.span(),
            },
        );
    }
    annotations
}

fn check_key(cx: &mut Decoder, key: &Spanned<String>, at: &Field<'_>) {
    // Kubernetes compares the keys of annotations without case.
    let valid = is_qualified_name(&key.value)
        || key.value.split_once('/').is_some_and(|(prefix, name)| {
            is_qualified_name(&format!("{}/{name}", prefix.to_lowercase()))
        }) && at.path.contains("annotations");
    if !valid {
        let found = cx.error(
            at,
            format!(
                "{} is not the key of a label or annotation",
                quoted(&key.value)
            ),
        );
        found.span = Some(key.span);
        found.help("letters, digits, `-`, `_` and `.`, with a `domain/` before it if need be");
    }
}
