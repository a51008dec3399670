//! Reading policies from files and directories.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::decode::{Body, Decoded, decode};
use super::schema::{CidrGroup, PolicyDocument, PolicyKind};
use super::yaml;
use crate::diagnostic::{Diagnostic, Severity, Source, Span};
use crate::printable::quoted;
use crate::texts::{self, Text};

/// Bytes that a file of policies may have.
const LIMIT: usize = yaml::Limits::WRITTEN.bytes;
/// Files of policies that are read together.
const FILES: usize = 10_000;

/// What the files hold.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The policies without errors, in the order of the files.
    pub documents: Vec<PolicyDocument>,
    /// The groups of prefixes without errors.
    pub cidr_groups: Vec<Arc<CidrGroup>>,
    /// Objects of other kinds.
    pub skipped: Vec<Skipped>,
    /// Everything that was found; with an error among it, the set must not be used.
    pub diagnostics: Vec<Diagnostic>,
}

/// An object that is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its `kind`.
    pub kind: String,
    /// The file.
    pub file: String,
    /// Where in the file it begins, from 1.
    pub line: usize,
}

impl Loaded {
    /// Whether anything found is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// One file with its objects.
#[derive(Debug)]
pub struct File {
    /// Its name and text; the text is empty if it could not be read.
    pub source: Arc<Source>,
    /// The objects, or why there are none.
    pub objects: Result<Vec<Decoded>, Box<Diagnostic>>,
}

/// Reads all policies of `paths`: files, and directories with all the `.yaml`,
/// `.yml` and `.json` files in and below them, sorted by name; `-` is the standard
/// input. What cannot be read is an error among the diagnostics.
#[must_use]
pub fn load(paths: &[PathBuf]) -> Loaded {
    collect(files(paths))
}

/// Like [`load`], with texts that were read already.
#[must_use]
pub fn load_sources<T: Into<Arc<Source>>>(sources: impl IntoIterator<Item = T>) -> Loaded {
    collect(
        sources
            .into_iter()
            .map(|source| parse(Ok(source.into())))
            .collect(),
    )
}

fn collect(files: Vec<File>) -> Loaded {
    let duplicates = duplicates(&files);
    let mut loaded = Loaded::default();
    for file in files {
        match file.objects {
            Err(failure) => loaded.diagnostics.push(*failure),
            Ok(objects) => {
                for object in objects {
                    loaded.add(&file.source, object);
                }
            }
        }
    }
    loaded
        .diagnostics
        .extend(duplicates.into_iter().map(|(_, found)| found));
    loaded
}

impl Loaded {
    fn add(&mut self, source: &Arc<Source>, object: Decoded) {
        self.diagnostics.extend(object.diagnostics);
        match object.body {
            Body::Policy(document) => self.documents.push(*document),
            Body::CidrGroup(group) => self.cidr_groups.push(Arc::new(group)),
            Body::Other => self.skipped.push(Skipped {
                kind: object.kind,
                file: source.name.clone(),
                line: object.span.line,
            }),
            Body::Invalid => {}
        }
    }
}

/// Reads `paths` file by file, as [`load`] does.
#[must_use]
pub fn files(paths: &[PathBuf]) -> Vec<File> {
    texts(paths).into_iter().map(parse).collect()
}

/// The texts of all files.
#[must_use]
pub fn texts(paths: &[PathBuf]) -> Vec<Text> {
    texts::read(paths, LIMIT, FILES)
}

/// Policies that share kind, namespace and name, as (file number, error at the later one).
#[must_use]
pub fn duplicates(files: &[File]) -> Vec<(usize, Diagnostic)> {
    /// Number of the kind, namespace, name.
    type Key<'a> = (u8, Option<&'a str>, &'a str);
    let mut first: BTreeMap<Key<'_>, (&Arc<Source>, Span)> = BTreeMap::new();
    let mut found = Vec::new();
    for (n, file) in files.iter().enumerate() {
        for object in file.objects.iter().flatten() {
            let (kind, namespace, name) = match &object.body {
                Body::Policy(policy) => (
                    u8::from(policy.kind == PolicyKind::Clusterwide),
                    policy.namespace.as_deref(),
                    policy.name.as_str(),
                ),
                Body::CidrGroup(group) => (2, None, group.name.as_str()),
                Body::Other | Body::Invalid => continue,
            };
            let here = (&file.source, object.span);
            let (source, span) = *first.entry((kind, namespace, name)).or_insert(here);
            if Arc::ptr_eq(source, &file.source) && span == object.span {
                continue;
            }
            let path = match object.item.as_str() {
                "" => "metadata.name".to_owned(),
                item => format!("{item}.metadata.name"),
            };
            let mut error = Diagnostic::new(
                Severity::Error,
                &file.source,
                Some(object.span),
                &path,
                format!("there are two objects {} {}", object.kind, quoted(name)),
            );
            error
                .label(format!("the first one is in {}:{}", source.name, span.line))
                .help("give one of them another name, or remove it");
            found.push((n, error));
        }
    }
    found
}

fn parse(text: Text) -> File {
    let source = match text {
        Ok(source) => source,
        Err(error) => {
            return File {
                source: Arc::clone(&error.source),
                objects: Err(error),
            };
        }
    };
    let objects = yaml::parse(&source).map(|documents| {
        documents
            .iter()
            .enumerate()
            .flat_map(|(index, document)| decode(&source, index, document))
            .collect()
    });
    File { source, objects }
}
