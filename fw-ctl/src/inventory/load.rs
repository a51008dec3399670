//! From files to an [`Inventory`].

use std::path::PathBuf;
use std::sync::Arc;

use super::Inventory;
use super::fields::Field;
use super::object;
use crate::diagnostic::{Diagnostic, Source};
use crate::lists::moment::{self, Moment};
use crate::lists::{List, ListFiles, without_lists};
use crate::policy::yaml::{self, Limits};
use crate::texts::{self, Text};

/// Bytes that a file of the inventory may have.
const LIMIT: usize = Limits::DUMPED.bytes;
/// Files that are read together: an object may have one of its own.
const FILES: usize = 100_000;

/// An inventory and what is to be said about its files.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What was read; not to be used if there are errors.
    pub inventory: Inventory,
    /// Errors: files and documents that cannot be read.
    pub diagnostics: Vec<Diagnostic>,
    /// Kinds that were skipped, as `a.yaml:3: Deployment skipped`.
    pub notes: Vec<String>,
}

/// Reads files, and directories with everything below them in the order of their
/// names, lists last. Of several objects of one name the later ones add to the earlier.
#[must_use]
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    for text in read(paths) {
        match text {
            Ok(source) => add(&mut loaded, &source),
            Err(error) => loaded.diagnostics.push(*error),
        }
    }
    let mut lists = Vec::new();
    for found in ListFiles::default().read(paths) {
        match found.list {
            Ok(list) => lists.push(list),
            Err(errors) => loaded.diagnostics.extend(errors),
        }
    }
    loaded.add_lists(&lists, moment::now());
    loaded
}

/// The texts of all files but lists.
#[must_use]
pub fn read(paths: &[PathBuf]) -> Vec<Text> {
    texts::read(&without_lists(paths), LIMIT, FILES)
}

impl Loaded {
    /// Takes in lists that were read, as they are `now`.
    pub fn add_lists(&mut self, lists: &[Arc<List>], now: Moment) {
        let warnings = lists.iter().flat_map(|list| &list.warnings);
        self.diagnostics.extend(warnings.cloned());
        self.inventory.add_lists(lists, now);
    }
}

/// Like [`load`], with texts that were read already.
#[must_use]
pub fn load_sources<T: Into<Arc<Source>>>(sources: impl IntoIterator<Item = T>) -> Loaded {
    let mut loaded = Loaded::default();
    for source in sources {
        add(&mut loaded, &source.into());
    }
    loaded
}

/// Takes in all documents of a text.
fn add(loaded: &mut Loaded, source: &Arc<Source>) {
    let documents = match yaml::parse_within(source, &Limits::DUMPED) {
        Ok(documents) => documents,
        Err(error) => return loaded.diagnostics.push(*error),
    };
    for document in &documents {
        let field = Field::root(document, source);
        let mut skipped = Vec::new();
        if let Err(error) = object::add(&mut loaded.inventory, &field, &mut skipped) {
            loaded.diagnostics.push(*error);
        }
        for (kind, line) in skipped {
            let place = format!("{}:{line}", source.name);
            loaded.notes.push(format!(
                "{place}: {kind} skipped: it says nothing about addresses"
            ));
        }
    }
}

#[cfg(test)]
pub(super) fn from_text(text: &str) -> Loaded {
    load_sources([Source {
        name: "i.yaml".to_owned(),
        text: text.to_owned(),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_files_and_documents_are_errors_and_unknown_kinds_notes() {
        let missing = load(&[PathBuf::from("/does/not/exist.yaml")]);
        assert_eq!(missing.diagnostics.len(), 1);
        let loaded = from_text(
            "kind: Deployment\nmetadata: {name: d}\n---\nkind: Node\nmetadata:\n  name: n1\nstatus:\n  addresses:\n  - address: 10.0.0.300\n",
        );
        assert_eq!(
            loaded.notes,
            ["i.yaml:1: Deployment skipped: it says nothing about addresses"]
        );
        let error = &loaded.diagnostics[0];
        assert_eq!(error.span.unwrap().line, 9);
        assert_eq!(error.path, "status.addresses[0].address");
    }

    #[test]
    fn our_own_kind_is_strict() {
        for (entry, message) in [
            ("{prefix: 10.0.0.1, labels: [a]}", "no prefix"),
            ("{prefix: 10.0.0.1/32}", "`labels` is missing"),
            ("{prefix: 10.0.0.1/32, label: [a]}", "unknown field `label`"),
            ("{prefix: 10.0.0.1/32, labels: ['k8s:']}", "has no key"),
        ] {
            let text = format!(
                "apiVersion: fw-ctl.io/v1\nkind: AddressIdentities\nspec:\n  entries:\n  - {entry}\n"
            );
            let loaded = from_text(&text);
            assert!(loaded.diagnostics[0].message.contains(message), "{entry}");
            assert_eq!(loaded.diagnostics[0].span.unwrap().line, 5, "{entry}");
        }
    }
}
