//! A file that was not there before: whole, or not at all.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::control::protocol::Failure;
use crate::exit;
use crate::texts;
use crate::why::why;

/// Where a policy is to be written.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
}

impl NewFile {
    /// # Errors
    /// It is there already, or is no name by which policies are read.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let is_yaml = texts::is_text(path) && path.extension().is_none_or(|end| end != "json");
        if !is_yaml {
            return Err(Failure::new(
                exit::USAGE,
                format!(
                    "{shown} would not be read as a policy: its name has to end in .yaml or .yml"
                ),
            )
            .help(format!("--write {}", path.with_extension("yaml").display())));
        }
        match fs::symlink_metadata(path) {
            Ok(_) => Err(taken(path)),
            Err(_) => Ok(Self {
                path: path.to_owned(),
            }),
        }
    }

    /// Whether the daemon reads what is in it, if these are its policies.
    #[must_use]
    pub fn is_within(&self, directories: &[PathBuf]) -> bool {
        let whole = |path: &Path| fs::canonicalize(path).ok();
        let Some(own) = whole(self.directory()) else {
            return false;
        };
        let mut directories = directories.iter().filter_map(|known| whole(known));
        directories.any(|known| own.starts_with(known))
    }

    /// Only root, or whoever asks, may read it: policies say much about a cluster.
    ///
    /// # Errors
    /// Somebody was faster, or it cannot be written. Then nothing is left behind.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        // Not read as a policy, whatever becomes of it.
        let new = format!(".{name}.{}.new", std::process::id());
        let new = self.directory().join(new);
        let written = begin(&new, text).and_then(|()| {
            // Unlike a rename it replaces nothing.
            fs::hard_link(&new, &self.path)
        });
        // If this fails, there is a file more that nobody reads.
        let _ = fs::remove_file(&new);
        let synced = written.and_then(|()| File::open(self.directory())?.sync_all());
        synced.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(&self.path),
            _ => {
                let message = format!("cannot write {}: {}", self.path.display(), why(&error));
                Failure::new(exit::UNREACHABLE, message)
                    .help("--write with a path in a directory that you may write")
            }
        })
    }

    fn directory(&self) -> &Path {
        let parent = self.path.parent();
        parent
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }
}

impl fmt::Display for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

fn begin(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn taken(path: &Path) -> Failure {
    let message = format!("{} is there already, and is not replaced", path.display());
    Failure::new(exit::REFUSED, message).help("another name")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_is_there_stays_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("suggested.yaml");
        let first = NewFile::new(&path).unwrap();
        let second = NewFile::new(&path).unwrap();
        first.write("one\n").unwrap();
        for refused in [
            second.write("two\n").unwrap_err(),
            NewFile::new(&path).unwrap_err(),
        ] {
            assert_eq!(refused.exit, exit::REFUSED, "{}", refused.message);
            assert_eq!(refused.help.as_deref(), Some("another name"));
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left"
        );
        // A link that leads nowhere is there, too.
        let link = dir.path().join("link.yaml");
        std::os::unix::fs::symlink(dir.path().join("none"), &link).unwrap();
        assert_eq!(NewFile::new(&link).unwrap_err().exit, exit::REFUSED);
    }

    #[test]
    fn names_that_the_daemon_does_not_read_are_refused() {
        for name in ["suggested", "suggested.yaml.bak", "suggested.json", "x.txt"] {
            let refused = NewFile::new(Path::new(name)).unwrap_err();
            assert_eq!(refused.exit, exit::USAGE, "{name}");
        }
        assert!(NewFile::new(Path::new("no-such-file.yml")).is_ok());
    }

    #[test]
    fn it_is_told_whether_it_is_among_the_policies() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("policies/more"), dir.path().join("other"));
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let directories = [dir.path().join("policies")];
        for (place, expected) in [(inside, true), (outside, false), ("/no/such".into(), false)] {
            let file = NewFile::new(&place.join("a.yaml")).unwrap();
            assert_eq!(
                file.is_within(&directories),
                expected,
                "{}",
                place.display()
            );
        }
        let file = NewFile::new(Path::new("/no/such/a.yaml")).unwrap();
        assert_eq!(file.write("x").unwrap_err().exit, exit::UNREACHABLE);
    }
}
