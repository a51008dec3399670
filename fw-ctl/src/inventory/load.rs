//! From files to an [`Inventory`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Inventory;
use super::fields::Field;
use super::object;
use crate::diagnostic::{Diagnostic, Severity, Source};
use crate::policy::yaml::{self, Limits};

/// Names that end like this are read from directories.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

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
/// names. Of several objects of one name the later ones add to the earlier.
#[must_use]
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    for path in paths {
        match files(path) {
            Ok(files) => files.iter().for_each(|file| read(&mut loaded, file)),
            Err((path, error)) => loaded.diagnostics.push(unreadable(&path, &error)),
        }
    }
    loaded
}

fn read(loaded: &mut Loaded, path: &Path) {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let name = path.display().to_string();
            add(loaded, &Arc::new(Source { name, text }));
        }
        Err(error) => loaded.diagnostics.push(unreadable(path, &error)),
    }
}

/// Like [`load`], with texts that were read already.
#[must_use]
pub fn load_sources(sources: impl IntoIterator<Item = Source>) -> Loaded {
    let mut loaded = Loaded::default();
    for source in sources {
        add(&mut loaded, &Arc::new(source));
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

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or(&text);
    let source = Arc::new(Source {
        name: path.display().to_string(),
        text: String::new(),
    });
    let message = format!("cannot read {}: {why}", path.display());
    Diagnostic::new(Severity::Error, &source, None, "", message)
}

/// The file itself, or all below a directory that have one of [`EXTENSIONS`].
/// Names with a leading dot are left out (editors and `ConfigMap` mounts make them).
fn files(path: &Path) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error| (path.to_owned(), error);
    let mut entries = std::fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(failed)?;
    entries.sort_unstable();
    let mut found = Vec::new();
    for entry in entries {
        let hidden = entry
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let wanted = entry
            .extension()
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known));
        if entry.is_dir() && !hidden {
            found.extend(files(&entry)?);
        } else if wanted && !hidden {
            found.push(entry);
        }
    }
    Ok(found)
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
    fn directories_are_read_in_order_and_hidden_files_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let namespace = |name: &str| format!("{{kind: Namespace, metadata: {{name: {name}}}}}");
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for (file, name) in [
            ("a.yaml", "a"),
            ("b.txt", "b"),
            (".c.yaml", "c"),
            ("sub/d.yml", "d"),
            ("e.json", "e"),
        ] {
            std::fs::write(dir.path().join(file), namespace(name)).unwrap();
        }
        let loaded = load(&[dir.path().to_owned()]);
        let names: Vec<&str> = loaded
            .inventory
            .namespaces
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(names, ["a", "d", "e"]);
        assert!(loaded.diagnostics.is_empty());
    }

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
