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
        "docs/cilium.md",
        "docs/lists.md",
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
