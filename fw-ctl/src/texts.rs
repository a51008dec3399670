//! Finding and reading the files that say what is wanted: policies, inventory,
//! configuration. A read never waits for anybody: what is not a regular file (a
//! FIFO without a writer, a device) is an error, since the daemon does nothing
//! else while it reads.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity, Source};
use crate::why::why;

/// How deep directories may lie in each other.
const MAX_DEPTH: usize = 32;
/// Names in all directories of one set together. A link to a place that has nothing to do
/// with policies (`/`) must not keep the daemon busy.
const MAX_NAMES: usize = 100_000;
/// Names that end like this are read from directories.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// Why a FIFO, a socket or a device is not read.
const IRREGULAR: &str = "it is not a regular file";

/// The kind of an error that there is more than is looked at.
const TOO_MUCH: io::ErrorKind = io::ErrorKind::FileTooLarge;

/// A text, or why it cannot be read.
pub type Text = Result<Arc<Source>, Box<Diagnostic>>;

/// Reads `paths`: files, and directories with all the `.yaml`, `.yml` and `.json`
/// files in and below them, sorted by name; `-` is the standard input. Of a text
/// longer than `limit` bytes one byte more is read, for the parser to refuse. Where there
/// are more than `files`, none is read.
#[must_use]
pub fn read(paths: &[PathBuf], limit: usize, files: usize) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut search = Search::new(is_text, files);
    for path in paths {
        if path.as_os_str() == "-" {
            let text = bytes(io::stdin().lock(), limit);
            texts.push(text_of("<stdin>", text));
            continue;
        }
        let found = search.of(path, true).into_iter();
        let read = found.map(|(path, accessible)| {
            let name = path.display().to_string();
            text_of(&name, accessible.and_then(|()| regular(&path, limit)))
        });
        if search.exceeded {
            return read.collect();
        }
        texts.extend(read);
    }
    texts
}

/// Whether a file of this name is read from a directory of policies or inventory.
pub(crate) fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

/// The files in and below `paths` that are `wanted`, in the order of [`read`]; of
/// files that are named themselves also only those. What cannot be gone into is
/// left out; where there are more names than are looked at, everything is.
pub fn find_files(paths: &[PathBuf], wanted: fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut search = Search::new(wanted, MAX_NAMES);
    for path in paths {
        let accessible = search.of(path, false).into_iter();
        found.extend(accessible.filter_map(|(path, accessible)| accessible.ok().map(|()| path)));
    }
    if search.exceeded {
        found.clear();
    }
    found
}

/// The directories of `paths`, and those in and below them; none where there are more
/// names than are looked at.
pub fn find_directories(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut search = Search::new(|_| false, MAX_NAMES);
    for path in paths {
        search.of(path, false);
    }
    if search.exceeded {
        search.listed.clear();
    }
    search.listed
}

/// The text of one regular file.
///
/// # Errors
/// As [`std::fs::read_to_string`], and when it is not a regular file.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let bytes = regular(path, usize::MAX)?;
    String::from_utf8(bytes)
        .map(without_mark)
        .map_err(|error| io::Error::other(not_utf8(&error)))
}

fn regular(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    bytes(open(path)?, limit)
}

/// Opens a regular file, and nothing else.
///
/// # Errors
/// As [`std::fs::File::open`], and when it is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Opening a FIFO would wait for a writer, opening a device may do anything.
    let refused = || io::Error::other(IRREGULAR);
    if !path.metadata()?.is_file() {
        return Err(refused());
    }
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    // It may have been replaced since.
    if !file.metadata()?.is_file() {
        return Err(refused());
    }
    Ok(file)
}

fn bytes(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    from.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text_of(name: &str, read: io::Result<Vec<u8>>) -> Text {
    match read.map(String::from_utf8) {
        Ok(Ok(text)) => Ok(Arc::new(Source {
            name: name.to_owned(),
            text: without_mark(text),
        })),
        Ok(Err(error)) => Err(refused(
            name,
            format!("this {}", not_utf8(&error)),
            "save it in the encoding UTF-8",
        )),
        Err(error) => Err(unreadable(name, &error)),
    }
}

/// Why a file cannot be read, in words for the operator.
pub fn unreadable(name: &str, error: &io::Error) -> Box<Diagnostic> {
    if error.to_string() == IRREGULAR {
        return refused(
            name,
            format!("cannot be read: {IRREGULAR}"),
            "put a file in its place, or remove it",
        );
    }
    if error.raw_os_error().is_none() && error.kind() == TOO_MUCH {
        return refused(
            name,
            error.to_string(),
            "remove links to directories that hold other things, or put many documents into one \
             file",
        );
    }
    refused(
        name,
        format!("cannot be read: {}", reason(error)),
        "check the path and its permissions",
    )
}

fn refused(name: &str, message: String, help: &str) -> Box<Diagnostic> {
    let source = Arc::new(Source {
        name: name.to_owned(),
        text: String::new(),
    });
    let mut error = Diagnostic::new(Severity::Error, &source, None, "", message);
    error.help(help);
    Box::new(error)
}

/// Editors on Windows begin a text with a byte order mark; nobody sees it.
fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

fn not_utf8(error: &std::string::FromUtf8Error) -> String {
    let valid = error.utf8_error().valid_up_to();
    format!("is not UTF-8 text, from byte {valid} on")
}

/// What went wrong in words, without the number of the error.
fn reason(error: &io::Error) -> String {
    if error.raw_os_error() == Some(libc::ELOOP) {
        return "its symbolic links go in a circle".to_owned();
    }
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => why(error),
    }
}

/// A path, and why it cannot be gone into.
type Found = (PathBuf, io::Result<()>);

/// A walk through the directories of one set. Links are followed, except into a directory
/// that is being listed already.
struct Search {
    wanted: fn(&Path) -> bool,
    /// How many files may be found.
    files: usize,
    /// How many names may be looked at still.
    names: usize,
    /// There is more than that: the walk has ended.
    exceeded: bool,
    found: Vec<Found>,
    /// How many were found in paths before.
    before: usize,
    /// Every directory that was gone into.
    listed: Vec<PathBuf>,
    /// Those around the present place, without links.
    above: Vec<PathBuf>,
}

impl Search {
    fn new(wanted: fn(&Path) -> bool, files: usize) -> Self {
        Self {
            wanted,
            files,
            names: MAX_NAMES,
            exceeded: false,
            found: Vec::new(),
            before: 0,
            listed: Vec::new(),
            above: Vec::new(),
        }
    }

    /// What is wanted in and below one more path of the set; where that is too much, why,
    /// and nothing else. `always`: a file, in any case.
    fn of(&mut self, path: &Path, always: bool) -> Vec<Found> {
        self.go(path, always);
        self.before += self.found.len();
        std::mem::take(&mut self.found)
    }

    fn go(&mut self, path: &Path, always: bool) {
        if self.exceeded {
            return;
        }
        match entries(path, &self.above, &mut self.names) {
            Ok(Entries::File) => {
                if always || (self.wanted)(path) {
                    self.find(path);
                }
            }
            Ok(Entries::Listed) => {}
            Ok(Entries::Directory(real, entries)) => {
                self.listed.push(path.to_owned());
                self.above.push(real);
                for entry in &entries {
                    self.go(entry, false);
                }
                self.above.pop();
            }
            Err(error) if error.kind() == TOO_MUCH => self.exceed(path, error),
            Err(error) => self.found.push((path.to_owned(), Err(error))),
        }
    }

    fn find(&mut self, path: &Path) {
        if self.before + self.found.len() < self.files {
            self.found.push((path.to_owned(), Ok(())));
            return;
        }
        let why = format!(
            "it is one file too many: at most {} are read together",
            self.files
        );
        self.exceed(path, io::Error::new(TOO_MUCH, why));
    }

    fn exceed(&mut self, path: &Path, why: io::Error) {
        self.exceeded = true;
        self.found = vec![(path.to_owned(), Err(why))];
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

/// `names`: how many may be looked at, of which those that are are taken off.
fn entries(path: &Path, above: &[PathBuf], names: &mut usize) -> io::Result<Entries> {
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
        *names = names.checked_sub(1).ok_or_else(too_many_names)?;
        // Editors and Kubernetes' ConfigMap volumes keep copies under such names.
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(Entries::Directory(real, entries))
}

fn too_many_names() -> io::Error {
    let why = format!(
        "this directory has too many names: with those before it, at most {MAX_NAMES} are looked at"
    );
    io::Error::new(TOO_MUCH, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[Text], below: &Path) -> Vec<String> {
        let name = |text: &Text| match text {
            Ok(source) => Path::new(&source.name)
                .strip_prefix(below)
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
            Err(error) => error.message.clone(),
        };
        texts.iter().map(name).collect()
    }

    #[test]
    fn directories_are_read_in_order_and_hidden_files_left_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for file in ["e.json", "a.yaml", "b.txt", ".c.yaml", "sub/d.yml"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let texts = read(&[dir.path().to_owned()], 10, 10);
        assert_eq!(names(&texts, dir.path()), ["a.yaml", "e.json", "sub/d.yml"]);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("a.yaml");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("b.yaml")).unwrap();
        let texts = read(&[dir.path().to_owned()], 10, 10);
        for text in &texts {
            let error = text.as_ref().unwrap_err();
            assert_eq!(error.message, "cannot be read: it is not a regular file");
            let help = error.help.as_deref().unwrap();
            assert!(!help.contains("permissions"), "they are not what is wrong");
        }
        assert_eq!(texts.len(), 2);
        assert!(read_to_string(&fifo).is_err());
    }

    #[test]
    fn no_more_is_read_than_shows_that_it_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, "0123456789").unwrap();
        let length = |limit| {
            read(std::slice::from_ref(&path), limit, 1)[0]
                .as_ref()
                .unwrap()
                .text
                .len()
        };
        assert_eq!((length(10), length(5)), (10, 6));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, "\u{feff}kind: X").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "kind: X");
        let texts = read(&[path], 100, 1);
        assert_eq!(texts[0].as_ref().unwrap().text, "kind: X");
    }

    #[test]
    fn a_text_of_another_encoding_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, b"abc\xff").unwrap();
        let error = read_to_string(&path).unwrap_err().to_string();
        assert_eq!(error, "is not UTF-8 text, from byte 3 on");
    }

    fn only_error(texts: &[Text]) -> Diagnostic {
        let [Err(error)] = texts else {
            panic!("{texts:?}");
        };
        assert!(error.help.as_deref().unwrap().contains("remove links"));
        Diagnostic::clone(error)
    }

    #[test]
    fn links_to_large_directories_are_refused_in_one_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.yaml"), "").unwrap();
        let far = tempfile::tempdir().unwrap();
        for number in 0..20_000 {
            std::fs::write(far.path().join(format!(".{number}")), "").unwrap();
        }
        for name in ["b", "c", "d", "e", "f", "g"] {
            std::os::unix::fs::symlink(far.path(), dir.path().join(name)).unwrap();
        }
        let paths = [dir.path().to_owned()];
        let error = only_error(&read(&paths, 10, 10));
        let told = "this directory has too many names: with those before it, at most 100000";
        assert!(error.message.starts_with(told), "{}", error.message);
        let place = Path::new(&error.source.name);
        assert_eq!(place, dir.path().join("f"), "the way by the link");
        assert_eq!(find_directories(&paths), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn there_are_only_so_many_files_in_all_paths_of_a_set() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a.yaml", "b"].map(|name| dir.path().join(name));
        std::fs::create_dir(&paths[1]).unwrap();
        let last = paths[1].join("d.yaml");
        for file in [&paths[0], &paths[1].join("c.yaml"), &last] {
            std::fs::write(file, "").unwrap();
        }
        assert_eq!(read(&paths, 10, 3).len(), 3);
        let error = only_error(&read(&paths, 10, 2));
        let told = "it is one file too many: at most 2 are read together";
        assert_eq!(error.message, told);
        assert_eq!(error.source.name, last.display().to_string());
    }
}
