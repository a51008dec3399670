//! Decoding policy documents, rule by rule of the schema: what is accepted, as
//! what, and what is said about the rest.
#![allow(clippy::too_many_lines, reason = "one document has everything in it")]

mod document;
mod layer7;
mod peers;
mod ports;

use std::sync::Arc;

use fw_ctl::diagnostic::{Diagnostic, Source};
use fw_ctl::policy::decode::{Body, Decoded, decode};
use fw_ctl::policy::schema::PolicyDocument;
use fw_ctl::policy::yaml;

/// The documents of a text, decoded.
pub fn decode_text(text: &str) -> Vec<Decoded> {
    let source = Arc::new(Source {
        name: "t.yaml".into(),
        text: text.into(),
    });
    let documents =
        yaml::parse(&source).unwrap_or_else(|error| panic!("{text}: {}", error.message));
    documents
        .iter()
        .enumerate()
        .flat_map(|(i, node)| decode(&source, i, node))
        .collect()
}

/// The only document of a text, decoded.
pub fn one(text: &str) -> Decoded {
    let mut all = decode_text(text);
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

/// A host policy with `rules`, in the flow style, beside `nodeSelector`.
pub fn host(rules: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: t}}\n\
         spec: {{nodeSelector: {{}}, {rules}}}\n"
    )
}

/// A host policy that has `ports` in `toPorts` of its ingress.
pub fn ports(ports: &str) -> String {
    host(&format!("ingress: [{{toPorts: [{{ports: [{ports}]}}]}}]"))
}

/// The policy of a text that must be accepted.
pub fn policy(text: &str) -> PolicyDocument {
    let decoded = one(text);
    match decoded.body {
        Body::Policy(policy) => *policy,
        other => panic!("{text}: {other:?} {:?}", decoded.diagnostics),
    }
}

/// The messages of the errors, or of the warnings.
pub fn messages(decoded: &Decoded, errors: bool) -> Vec<&str> {
    let matching = decoded
        .diagnostics
        .iter()
        .filter(|found| found.is_error() == errors);
    matching.map(|found| found.message.as_str()).collect()
}

/// The warnings about a text that must be accepted.
pub fn warnings(text: &str) -> Vec<String> {
    let decoded = one(text);
    assert!(
        messages(&decoded, true).is_empty(),
        "{text}: {:?}",
        messages(&decoded, true)
    );
    messages(&decoded, false)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[track_caller]
/// Fails unless the text is accepted.
pub fn accepts(text: &str) {
    let decoded = one(text);
    assert!(
        messages(&decoded, true).is_empty(),
        "{text}: {:?}",
        messages(&decoded, true)
    );
}

/// Exactly one error, with `part` in its message, at `path`.
#[track_caller]
pub fn rejects(text: &str, path: &str, part: &str) {
    let decoded = one(text);
    let errors: Vec<&Diagnostic> = decoded
        .diagnostics
        .iter()
        .filter(|found| found.is_error())
        .collect();
    assert!(matches!(decoded.body, Body::Invalid), "{text}");
    assert_eq!(errors.len(), 1, "{text}: {errors:?}");
    assert_eq!(errors[0].path, path, "{text}: {}", errors[0].message);
    assert!(
        errors[0].message.contains(part),
        "{text}: {}",
        errors[0].message
    );
}
