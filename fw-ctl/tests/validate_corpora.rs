//! The corpora of acceptance: single documents with their verdicts, and public
//! policy files. They are not part of the project; `FW_CONFORMANCE` says where
//! they lie.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::corpus::corpora;
use common::source;
use fw_ctl::diagnostic::Diagnostic;
use fw_ctl::policy::load::{self, Loaded};
use fw_ctl::policy::yaml;

fn load_text(name: &str, text: &str) -> Loaded {
    load::load_sources([source(name, text)])
}

/// `reject`, `accept`, or `skip` where there is no policy.
fn verdict(loaded: &Loaded) -> &'static str {
    if loaded.has_errors() {
        "reject"
    } else if loaded.documents.is_empty() {
        "skip"
    } else {
        "accept"
    }
}

fn errors(loaded: &Loaded) -> String {
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error());
    errors
        .map(Diagnostic::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn every_document_gets_its_verdict() {
    /// Made with the extended protocols off, which are always on here.
    const DIVERGENCES: [&str; 1] = ["port-absent"];
    let Some(place) = corpora() else { return };
    let file = place.join("conformance/validation.yaml");
    let text = std::fs::read_to_string(file).expect("the corpus is readable");
    let entries =
        yaml::parse(&Arc::new(source("validation.yaml", text))).expect("the corpus is YAML");
    let entries = entries[0].items().expect("the corpus is a list");
    let mut wrong = Vec::new();
    for entry in entries {
        let field = |key: &str| {
            entry
                .get(key)
                .and_then(yaml::Node::as_str)
                .unwrap_or_default()
        };
        let loaded = load_text(field("name"), field("policy"));
        if !DIVERGENCES.contains(&field("name")) && verdict(&loaded) != field("expect") {
            wrong.push(format!(
                "{}: {} {}",
                field("name"),
                verdict(&loaded),
                errors(&loaded)
            ));
        }
    }
    assert!(
        entries.len() > 100,
        "only {} entries were read",
        entries.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        entries.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_public_file_gets_its_verdict() {
    let Some(place) = corpora() else { return };
    let table = std::fs::read_to_string(place.join("policies/expected.tsv"))
        .expect("the table is readable");
    let expected: BTreeMap<&str, &str> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut columns = line.split('\t');
            Some((columns.next()?, columns.next()?))
        })
        .collect();
    let mut wrong = Vec::new();
    for (file, expected) in &expected {
        let loaded = load::load(&[place.join("policies").join(file)]);
        if verdict(&loaded) != *expected {
            wrong.push(format!("{file}: {} {}", verdict(&loaded), errors(&loaded)));
        }
    }
    assert!(
        expected.len() > 200,
        "only {} lines were read",
        expected.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        expected.len(),
        wrong.join("\n")
    );
}
