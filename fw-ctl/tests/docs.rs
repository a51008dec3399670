//! The documents name files that exist, and the two paths are complete.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace is above the crate")
        .to_owned()
}

/// Everything between backticks, and every link's target, that looks like a path.
fn paths(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let linked = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let tops = [
        "fw-",
        "config",
        "docs",
        "packaging",
        "sandbox",
        "scripts",
        "bench",
        "ARCHITECTURE",
        ".ci",
    ];
    quoted
        .chain(linked)
        .filter(|word| tops.iter().any(|top| word.starts_with(top)))
        .filter(|word| word.contains('/') || word.contains(".md"))
        .map(|word| word.split_once("::").map_or(word, |(path, _)| path))
        .filter(|word| !word.contains(char::is_whitespace))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_path_in_the_documents_exists() {
    let mut named = 0;
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "THREAT-MODEL.md",
        "docs/audit.md",
        "docs/capture.md",
        "docs/changes.md",
        "docs/cilium.md",
        "docs/devices.md",
        "docs/failsafe.md",
        "docs/faults.md",
        "docs/init.md",
        "docs/leap.md",
        "docs/diff.md",
        "docs/kubernetes.md",
        "docs/lists.md",
        "docs/metrics.md",
        "docs/trace.md",
        "docs/observe.md",
        "docs/systemd.md",
        "docs/talos.md",
        "docs/top.md",
        "docs/upgrades.md",
        "docs/vlans.md",
    ] {
        let at = root().join(document);
        let text = std::fs::read_to_string(&at).expect("the document is there");
        let folder = at.parent().expect("a folder");
        for path in paths(&text) {
            named += 1;
            assert!(
                root().join(&path).exists() || folder.join(&path).exists(),
                "{document} names {path}, which does not exist"
            );
        }
    }
    assert!(named > 40, "only {named} paths were found");
}

#[test]
fn every_file_of_the_decision_is_on_the_path_of_a_packet() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there");
    let named = paths(&text);
    for folder in ["fw-common/src/datapath", "fw-common/src/packet"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let path = format!("{folder}/{}", name.to_string_lossy());
            // The traits, and the module that only lists the others.
            if path.ends_with("tables.rs") || path == "fw-common/src/packet/mod.rs" {
                continue;
            }
            assert!(
                named.contains(&path),
                "ARCHITECTURE.md does not name {path}"
            );
        }
    }
}

/// What a text names as a test: the file, and a function or a row of the packet table.
fn tests_named(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|word| word.split_once("::")).collect()
}

#[test]
fn every_promise_of_the_threat_model_is_held_by_a_test() {
    let text = std::fs::read_to_string(root().join("THREAT-MODEL.md")).expect("it is there");
    let mut promises = 0;
    for section in text.split("\nPromised").skip(1) {
        let end = section
            .find("\nNot promised")
            .or_else(|| section.find("\n## "));
        let list = &section[..end.unwrap_or(section.len())];
        for promise in list.split("\n- ").skip(1) {
            promises += 1;
            let named = tests_named(promise);
            assert!(!named.is_empty(), "no test holds this promise: {promise}");
            for (path, name) in named {
                let file = std::fs::read_to_string(root().join(path));
                let file = file.unwrap_or_else(|_| panic!("{path} does not exist: {promise}"));
                let is_row = name.starts_with('"');
                let marked = format!("fn {name}(");
                let there = if is_row {
                    file.contains(name)
                } else {
                    let (before, _) = file.split_once(&marked).unwrap_or_default();
                    // A test, or what a macro makes tests of.
                    let is_test = before.trim_end().ends_with("]\nasync")
                        || before.trim_end().ends_with(']')
                        || file.contains(&format!("    {name},\n"))
                        || file.contains(&format!("    {name}\n"))
                        || file.contains(&format!("!({name});"));
                    file.contains(&marked) && is_test
                };
                assert!(there, "{path} has no test {name}: {promise}");
            }
        }
    }
    assert!(promises >= 30, "only {promises} promises were found");
}
