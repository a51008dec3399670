//! Sealed files of the state directory that the daemon can do without: one that cannot be read
//! is no reason not to filter, and is set aside for who may be able to read it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{atomic, sealed};
use crate::texts;
use crate::why::why;

/// Such a file.
#[derive(Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
    name: &'static str,
    schema: u32,
    /// What it keeps, in words.
    what: &'static str,
    /// Why what was kept is not known.
    damaged: Option<String>,
    /// Why what was to be kept last is not.
    unsaved: Option<String>,
}

impl Shelf {
    /// File `name` in `directory`, whose body is of this `schema` and keeps `what`; and what
    /// is in it. `None`: there is no such file, or it cannot be read, which is told and noted.
    pub(super) fn open<B: DeserializeOwned>(
        directory: &Path,
        name: &'static str,
        schema: u32,
        what: &'static str,
    ) -> (Self, Option<B>) {
        let mut shelf = Self {
            directory: directory.to_owned(),
            name,
            schema,
            what,
            damaged: None,
            unsaved: None,
        };
        let body = shelf.read().unwrap_or_else(|reason| {
            let told = format!("{what} before the start is not known: {reason}");
            tracing::warn!("{told}");
            shelf.damaged = Some(told);
            None
        });
        (shelf, body)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(self.name)
    }

    /// That it cannot be read, why, and where it is now, is the error.
    fn read<B: DeserializeOwned>(&self) -> Result<Option<B>, String> {
        let reason = match texts::read_to_string(&self.path()) {
            Ok(text) => match sealed::read(&text, &(self.schema..=self.schema)) {
                Ok(body) => return Ok(Some(body)),
                Err(reason) => reason,
            },
            Err(error) if atomic::is_absent(&error) => return Ok(None),
            Err(error) => why(&error),
        };
        let aside = self.directory.join(format!("{}.damaged", self.name));
        // The next writing must not destroy it.
        let moved = match std::fs::rename(self.path(), &aside) {
            Ok(()) => format!("it is {} now", aside.display()),
            Err(error) => format!("and it cannot be set aside: {}", why(&error)),
        };
        let path = self.path();
        let path = path.display();
        Err(format!("{path} cannot be read: {reason}; {moved}"))
    }

    /// Puts `body` into it. Where that cannot be, the file is what it was, and it is noted,
    /// and told once.
    pub(super) fn write<B: Serialize>(&mut self, body: &B) {
        let written = sealed::seal(self.schema, BTreeSet::new(), body)
            .map_err(std::io::Error::from)
            .and_then(|text| atomic::replace(&self.directory, self.name, text.as_bytes()));
        let unsaved = written.err().map(|error| {
            format!(
                "{} will not outlast a restart: it cannot be stored in {}: {}; try: check that \
                 `paths.state_dir` is a writable directory with free space",
                self.what,
                self.path().display(),
                why(&error)
            )
        });
        if let Some(told) = unsaved.as_ref().filter(|_| self.unsaved.is_none()) {
            tracing::warn!("{told}");
        }
        self.unsaved = unsaved;
    }

    /// Whether the last writing failed.
    pub(super) fn is_unsaved(&self) -> bool {
        self.unsaved.is_some()
    }

    /// What whoever reads what it keeps has to know, a line each.
    pub(super) fn notes(&self) -> impl Iterator<Item = &String> {
        self.damaged.iter().chain(&self.unsaved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path, schema: u32) -> (Shelf, Option<Vec<u8>>) {
        Shelf::open(directory, "a.json", schema, "what matters")
    }

    #[test]
    fn what_was_written_is_read_and_what_cannot_be_read_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let (mut shelf, body) = open(&state, 3);
        assert_eq!(body, None);
        shelf.write(&[1, 2]);
        let (shelf, body) = open(&state, 3);
        assert_eq!(body, Some(vec![1, 2]));
        assert_eq!(shelf.notes().count(), 0);

        let (shelf, body) = open(&state, 4);
        assert_eq!(body, None);
        let told = shelf.notes().next().unwrap();
        assert!(told.contains("by schema 3, not 4"), "{told}");
        let aside = state.join("a.json.damaged");
        assert!(told.ends_with(&format!("it is {} now", aside.display())));
        let kept = std::fs::read_to_string(&aside).unwrap();
        assert_eq!(open(&state, 3).1, None);
        for broken in [
            "",
            "{}\n{}\n",
            &kept[..kept.len() / 2],
            &kept.replace("[1,2]", "[1,3]"),
        ] {
            std::fs::write(shelf.path(), broken).unwrap();
            let (shelf, body) = open(&state, 3);
            assert_eq!(body, None);
            let told = shelf.notes().next().unwrap();
            assert!(told.contains("the file is damaged"), "{told}");
            assert_eq!(std::fs::read_to_string(&aside).unwrap(), broken);
        }
    }

    #[test]
    fn what_cannot_be_stored_is_noted_until_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::write(&state, "").unwrap();
        let (mut shelf, body) = open(&state, 3);
        assert_eq!((body, shelf.notes().count()), (None, 0));
        shelf.write(&[1]);
        let told = shelf.notes().next().unwrap();
        assert!(told.starts_with("what matters will not outlast"), "{told}");
        assert!(told.contains("paths.state_dir"), "{told}");
        std::fs::remove_file(&state).unwrap();
        shelf.write(&[1]);
        assert!(!shelf.is_unsaved());
        assert_eq!(open(&state, 3).1, Some(vec![1]));
    }
}
