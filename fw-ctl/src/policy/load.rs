//! Reading policies from files and directories.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decode::{Body, Decoded, decode};
use super::schema::{CidrGroup, PolicyDocument, PolicyKind};
use super::yaml;
use crate::diagnostic::{Diagnostic, Severity, Source, Span};

/// How deep directories may lie in each other.
const MAX_DEPTH: usize = 32;

/// What the files hold.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The policies without errors, in the order of the files.
    pub documents: Vec<PolicyDocument>,
    /// The groups of prefixes without errors.
    pub cidr_groups: Vec<CidrGroup>,
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
pub fn load_sources(sources: impl IntoIterator<Item = Source>) -> Loaded {
    collect(sources.into_iter().map(read_source).collect())
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
            Body::CidrGroup(group) => self.cidr_groups.push(group),
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
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = Vec::new();
            let limit = yaml::Limits::WRITTEN.bytes as u64 + 1;
            let read = io::stdin().lock().take(limit).read_to_end(&mut text);
            files.push(from_bytes("<stdin>", read.map(|_| text)));
            continue;
        }
        let mut found = Vec::new();
        find(path, &mut found, &mut Vec::new(), true);
        files.extend(
            found
                .into_iter()
                .map(|(path, accessible)| match accessible {
                    Ok(()) => read_file(&path),
                    Err(error) => from_bytes(&path.display().to_string(), Err(error)),
                }),
        );
    }
    files
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
            let mut error = Diagnostic::new(
                Severity::Error,
                &file.source,
                Some(object.span),
                "metadata.name",
                format!("there are two objects {} {name:?}", object.kind),
            );
            error
                .label(format!("the first one is in {}:{}", source.name, span.line))
                .help("give one of them another name, or remove it");
            found.push((n, error));
        }
    }
    found
}

/// A path, and why it cannot be gone into.
type Found = (PathBuf, io::Result<()>);

/// Finds the policy files in and below `path`. A file that is named itself
/// (`named`) is taken whatever its name ends with. Links are followed, except into
/// a directory that is being listed already (`above`).
fn find(path: &Path, found: &mut Vec<Found>, above: &mut Vec<PathBuf>, named: bool) {
    match entries(path, above) {
        Ok(Entries::File) => {
            let extension = path.extension().and_then(|extension| extension.to_str());
            if named || matches!(extension, Some("yaml" | "yml" | "json")) {
                found.push((path.to_owned(), Ok(())));
            }
        }
        Ok(Entries::Listed) => {}
        Ok(Entries::Directory(real, entries)) => {
            above.push(real);
            for entry in &entries {
                find(entry, found, above, false);
            }
            above.pop();
        }
        Err(error) => found.push((path.to_owned(), Err(error))),
    }
}

/// What a path is.
enum Entries {
    File,
    /// A directory that is being listed already: a link leads back up to it.
    Listed,
    /// Its path without links, and what lies in it, sorted.
    Directory(PathBuf, Vec<PathBuf>),
}

fn entries(path: &Path, above: &[PathBuf]) -> io::Result<Entries> {
    if !path.metadata()?.is_dir() {
        return Ok(Entries::File);
    }
    let real = path.canonicalize()?;
    if above.contains(&real) {
        return Ok(Entries::Listed);
    }
    if above.len() >= MAX_DEPTH {
        let why = format!("directories are nested more than {MAX_DEPTH} deep");
        return Err(io::Error::other(why));
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        // Editors and Kubernetes' ConfigMap volumes keep copies under such names.
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(Entries::Directory(real, entries))
}

fn read_file(path: &Path) -> File {
    let read = || {
        let file = std::fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut text = Vec::new();
        let limit = yaml::Limits::WRITTEN.bytes as u64 + 1;
        file.take(limit).read_to_end(&mut text)?;
        Ok(text)
    };
    from_bytes(&path.display().to_string(), read())
}

fn from_bytes(name: &str, read: io::Result<Vec<u8>>) -> File {
    let refused = |message: String, help: &str| {
        let source = Arc::new(Source {
            name: name.to_owned(),
            text: String::new(),
        });
        let mut error = Diagnostic::new(Severity::Error, &source, None, "", message);
        error.help(help);
        File {
            source,
            objects: Err(Box::new(error)),
        }
    };
    match read {
        Err(error) => refused(
            format!("cannot read {name}: {}", reason(&error)),
            "check the path and its permissions",
        ),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => read_source(Source {
                name: name.to_owned(),
                text,
            }),
            Err(error) => refused(
                format!(
                    "{name} is not UTF-8 text, from byte {} on",
                    error.utf8_error().valid_up_to()
                ),
                "save it in the encoding UTF-8",
            ),
        },
    }
}

/// What went wrong in words, without the number of the error.
fn reason(error: &io::Error) -> String {
    if error.raw_os_error() == Some(libc::ELOOP) {
        return "its symbolic links go in a circle".to_owned();
    }
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_owned()
        }
    }
}

fn read_source(source: Source) -> File {
    let source = Arc::new(source);
    let objects = yaml::parse(&source).map(|documents| {
        documents
            .iter()
            .enumerate()
            .flat_map(|(index, document)| decode(&source, index, document))
            .collect()
    });
    File { source, objects }
}
