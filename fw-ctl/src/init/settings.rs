//! The configuration of RKE2 and k3s: `config.yaml`, and `config.yaml.d/*.yaml` in the order of
//! their names. A later file replaces a key, and adds to it where it is written `key+`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::found::Fact;
use super::place::Root;
use crate::control::protocol::Failure;
use crate::diagnostic::{Diagnostic, Severity, Source, Span};
use crate::exit;
use crate::policy::yaml::{self, Kind, Node};
use crate::texts;
use crate::why::why;

/// The keys of all files, each with its values and their places.
#[derive(Debug, Default)]
pub(super) struct Settings {
    values: BTreeMap<String, Vec<Fact<String>>>,
    /// Files that were read.
    pub(super) files: usize,
}

impl Settings {
    /// Reads the files in `directory`, of which none has to be there.
    ///
    /// # Errors
    /// A file that is there cannot be read, or is no YAML map.
    pub(super) fn read(root: &Root, directory: &str) -> Result<Self, Failure> {
        let directory = root.join(directory);
        let mut settings = Self::default();
        let main = directory.join("config.yaml");
        for path in [main]
            .into_iter()
            .chain(drop_ins(&directory.join("config.yaml.d")))
        {
            settings.add(&path)?;
        }
        Ok(settings)
    }

    fn add(&mut self, path: &Path) -> Result<(), Failure> {
        let text = match texts::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let message = format!("cannot read {}: {}", path.display(), why(&error));
                let failure = Failure::new(exit::INVALID, message);
                return Err(match error.kind() {
                    ErrorKind::PermissionDenied => failure.help("sudo fw-ctl init …"),
                    _ => failure,
                });
            }
        };
        self.files += 1;
        let source = Arc::new(Source {
            name: path.display().to_string(),
            text,
        });
        let wrong = |found: Diagnostic| {
            let what = format!(
                "the labels of this node cannot be read from {}",
                source.name
            );
            Failure::refused(&what, &[found])
        };
        for document in yaml::parse(&source).map_err(|error| wrong(*error))? {
            let Some(entries) = document.entries() else {
                let message = format!("expected a map, found {}", document.kind_name());
                return Err(wrong(Diagnostic::new(
                    Severity::Error,
                    &source,
                    Some(document.span),
                    "",
                    message,
                )));
            };
            for (key, value) in entries {
                let place = |span: Span| format!("{}:{}", source.name, span.line);
                let values = values(value, &place);
                match key.value.strip_suffix('+') {
                    Some(key) => self
                        .values
                        .entry(key.to_owned())
                        .or_default()
                        .extend(values),
                    None => {
                        self.values.insert(key.value.clone(), values);
                    }
                }
            }
        }
        Ok(())
    }

    /// Every value of a key: the items of a list, or a single one.
    pub(super) fn all(&self, key: &str) -> &[Fact<String>] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// The value of a key that has one.
    pub(super) fn one(&self, key: &str) -> Option<&Fact<String>> {
        self.all(key).last().filter(|one| !one.value.is_empty())
    }

    /// Whether a key is switched on.
    pub(super) fn is_on(&self, key: &str) -> bool {
        self.one(key).is_some_and(|one| one.value == "true")
    }

    /// The parts of values that may be written as a list, or with commas between them.
    pub(super) fn parts(&self, key: &str) -> Vec<Fact<String>> {
        let parts = self.all(key).iter().flat_map(|one| {
            let parts = one.value.split(',').map(str::trim);
            parts.filter(|part| !part.is_empty()).map(|part| Fact {
                value: part.to_owned(),
                from: one.from.clone(),
            })
        });
        parts.collect()
    }
}

fn drop_ins(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_yaml = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| ["yaml", "yml"].contains(&extension))
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(is_yaml).collect();
    paths.sort();
    paths
}

/// A scalar, or the scalars of a list, as their programs take them: as text.
fn values(node: &Node, place: &dyn Fn(Span) -> String) -> Vec<Fact<String>> {
    let value = match &node.kind {
        Kind::Seq(items) => return items.iter().flat_map(|item| values(item, place)).collect(),
        Kind::Str(text) => text.clone(),
        Kind::Bool(value) => value.to_string(),
        Kind::Int(value) => value.to_string(),
        Kind::Float(value) => value.to_string(),
        Kind::Null | Kind::Map(_) => return Vec::new(),
    };
    vec![Fact {
        value,
        from: place(node.span),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::tests::root;
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Settings, Failure> {
        let root = root(files);
        Settings::read(&Root::new(root.path()), "/etc/rancher/rke2")
    }

    fn texts(values: &[Fact<String>]) -> Vec<&str> {
        values.iter().map(|one| one.value.as_str()).collect()
    }

    #[test]
    fn later_files_replace_keys_or_add_to_them() {
        let settings = read(&[
            (
                "etc/rancher/rke2/config.yaml",
                "node-label: [a=1, b=2]\nnode-name: one\ncluster-cidr: 10.1.0.0/16,fd01::/56\n\
                 disable-etcd: true\nx: {y: z}\nport: 7\n",
            ),
            (
                "etc/rancher/rke2/config.yaml.d/20.yaml",
                "node-label+: c=3\n",
            ),
            (
                "etc/rancher/rke2/config.yaml.d/10.yml",
                "node-name: two\n---\n",
            ),
            (
                "etc/rancher/rke2/config.yaml.d/30.conf",
                "node-name: three\n",
            ),
        ])
        .unwrap();
        assert_eq!(texts(settings.all("node-label")), ["a=1", "b=2", "c=3"]);
        assert_eq!(settings.one("node-name").unwrap().value, "two");
        assert!(settings.is_on("disable-etcd") && !settings.is_on("port"));
        assert_eq!(texts(settings.all("x")), [""; 0]);
        let parts = settings.parts("cluster-cidr");
        assert_eq!(texts(&parts), ["10.1.0.0/16", "fd01::/56"]);
        assert!(
            parts[0].from.ends_with("/config.yaml:3"),
            "{}",
            parts[0].from
        );
        assert_eq!(settings.files, 3);
        assert_eq!(read(&[]).unwrap().files, 0);
    }

    #[test]
    fn what_is_no_map_is_told_with_its_place() {
        for text in ["- a\n", "a: [\n", "a: 1\na: 2\n"] {
            let failure = read(&[("etc/rancher/rke2/config.yaml", text)]).unwrap_err();
            assert_eq!(failure.exit, exit::INVALID, "{text}");
            assert!(failure.findings[0].contains("config.yaml:"), "{failure:?}");
        }
        let failure = read(&[("etc/rancher/rke2/config.yaml/x", "")]).unwrap_err();
        assert!(failure.message.starts_with("cannot read "), "{failure:?}");
    }
}
