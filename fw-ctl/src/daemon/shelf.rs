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
}

impl Shelf {
    /// File `name` in `directory`, whose body is of this `schema`.
    pub(super) fn new(directory: &Path, name: &'static str, schema: u32) -> Self {
        Self {
            directory: directory.to_owned(),
            name,
            schema,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(self.name)
    }

    /// What is in it; `None`: there is no such file.
    ///
    /// # Errors
    /// That it cannot be read, why, and where it is now.
    pub(super) fn read<B: DeserializeOwned>(&self) -> Result<Option<B>, String> {
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

    /// Puts `body` into it.
    ///
    /// # Errors
    /// That it cannot be stored, where and why; then it is what it was.
    pub(super) fn write<B: Serialize>(&self, body: &B) -> Result<(), String> {
        sealed::seal(self.schema, BTreeSet::new(), body)
            .map_err(std::io::Error::from)
            .and_then(|text| atomic::replace(&self.directory, self.name, text.as_bytes()))
            .map_err(|error| {
                let path = self.path();
                format!("it cannot be stored in {}: {}", path.display(), why(&error))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_cannot_be_read_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let shelf = Shelf::new(&state, "a.json", 3);
        assert_eq!(shelf.read::<Vec<u8>>(), Ok(None));
        shelf.write(&[1, 2]).unwrap();
        assert_eq!(shelf.read(), Ok(Some(vec![1, 2])));
        let told = Shelf::new(&state, "a.json", 4).read::<Vec<u8>>();
        let told = told.unwrap_err();
        assert!(told.contains("by schema 3, not 4"), "{told}");
        let aside = state.join("a.json.damaged");
        let kept = std::fs::read_to_string(&aside).unwrap();
        assert!(told.ends_with(&format!("it is {} now", aside.display())));
        assert_eq!(shelf.read::<Vec<u8>>(), Ok(None));
        for broken in [
            "",
            "{}\n{}\n",
            &kept[..kept.len() / 2],
            &kept.replace("[1,2]", "[1,3]"),
        ] {
            std::fs::write(shelf.path(), broken).unwrap();
            let told = shelf.read::<Vec<u8>>().unwrap_err();
            assert!(told.contains("damaged"), "{told}");
            assert_eq!(std::fs::read_to_string(&aside).unwrap(), broken);
        }
        std::fs::remove_dir_all(&state).unwrap();
        std::fs::write(&state, "").unwrap();
        assert_eq!(shelf.read::<Vec<u8>>(), Ok(None));
        let told = shelf.write(&[1]).unwrap_err();
        assert!(told.contains("a.json: "), "{told}");
    }
}
