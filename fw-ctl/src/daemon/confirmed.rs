//! The inputs of the last plan that was put in force, on disk.
//!
//! They outlast a reboot, after which nothing is pinned: if the operator's files
//! are broken by then, this is what the node is filtered by. What is kept are the
//! texts, not the tables: from them a later version of the program makes a plan
//! of the same policy, with its names and places.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::journal::{Entry, Journal, header};
use super::kept_lists::{KeptList, KeptLists};
use super::mode::Word;
use super::sealed;
use super::{Inputs, atomic};
use crate::compile::plan::Mode;
use crate::texts;
use crate::why::why;

const FILE: &str = "confirmed.json";
/// What was kept before that.
const FORMER: &str = "confirmed.json.old";
/// 1 had no lists. Programs that know only that must not read what has.
const SCHEMA: u32 = 2;
pub(super) const SCHEMAS: RangeInclusive<u32> = 1..=SCHEMA;

/// What is kept beside the lists.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    number: u64,
    mode: Word,
    inputs: Arc<Inputs>,
    /// [`Inputs::lists`].
    #[serde(default)]
    lists: Vec<KeptList>,
    /// [`Event::since`].
    #[serde(default)]
    since: u64,
    /// [`Event::cause`].
    #[serde(default)]
    cause: String,
}

impl Body {
    /// With its lists, which are read again.
    ///
    /// # Errors
    /// Why one cannot be had.
    pub(super) fn into_confirmed(self, lists: &KeptLists) -> Result<Confirmed, String> {
        let read = self.lists.iter().map(|list| lists.read(list));
        let inputs = Inputs {
            lists: read.collect::<Result<_, _>>()?,
            ..Arc::unwrap_or_clone(self.inputs)
        };
        Ok(Confirmed {
            number: self.number,
            mode: self.mode.into(),
            inputs: Arc::new(inputs),
            event: Event {
                since: self.since,
                cause: self.cause,
            },
        })
    }
}

/// Why something came in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Seconds since 1970; 0: not known.
    pub since: u64,
    /// `reload`, `start`, `rollback to 7`, …
    pub cause: String,
}

/// What was in force.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Number of its generation.
    pub number: u64,
    /// Audit or enforce.
    pub mode: Mode,
    /// What it was made from.
    pub inputs: Arc<Inputs>,
    /// When the operator's files last became it, and how.
    pub event: Event,
}

/// What was found on disk.
#[derive(Debug, Default)]
pub struct Kept {
    /// What was in force last, as far as it can be told.
    pub confirmed: Option<Confirmed>,
    /// What is wrong with the newest record, in a line.
    pub trouble: Option<String>,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub struct ConfirmedStore {
    directory: PathBuf,
    lists: KeptLists,
    journal: Journal,
}

impl ConfirmedStore {
    /// The store in a state directory. Nothing is read or written.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            lists: KeptLists::new(directory),
            journal: Journal::new(directory),
        }
    }

    /// What was in force before.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Keeps lists for a record that is to come, if it can be done: else
    /// [`Self::save`] tells. To be called where waiting for the disk holds up nobody.
    pub fn prepare(&self, inputs: &Inputs) {
        self.lists.check(&inputs.lists);
        if let Err(error) = self.lists.keep(&inputs.lists) {
            tracing::debug!("lists cannot be kept: {}", why(&error));
        }
    }

    /// Whether anything is kept, be it damaged.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.directory.join(FILE).exists()
    }

    /// What was kept last, if anything was; where that is damaged or lost, what was
    /// kept before.
    #[must_use]
    pub fn load(&self) -> Kept {
        let trouble = match self.load_file(FILE) {
            Ok(None) => None,
            Ok(confirmed) => {
                return Kept {
                    confirmed,
                    trouble: None,
                };
            }
            Err(trouble) => Some(trouble),
        };
        let confirmed = self.load_file(FORMER).ok().flatten();
        let trouble = trouble.map(|trouble| match &confirmed {
            Some(former) => {
                let number = former.number;
                format!("{trouble}; those before them (generation {number}) are there")
            }
            None => format!("{trouble}; try: mend the files, then fw-ctl reload"),
        });
        Kept { confirmed, trouble }
    }

    fn load_file(&self, name: &str) -> Result<Option<Confirmed>, String> {
        let path = self.directory.join(name);
        let wrong = |reason: String| {
            format!(
                "the last accepted policies in {} cannot be used: {reason}",
                path.display()
            )
        };
        let text = match texts::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if atomic::is_absent(&error) => return Ok(None),
            Err(error) => return Err(wrong(why(&error))),
        };
        let body: Body = sealed::read(&text, &SCHEMAS).map_err(wrong)?;
        Ok(Some(body.into_confirmed(&self.lists).map_err(wrong)?))
    }

    /// Keeps the present record, if it is sound, beside the one that comes.
    fn keep_former(&self) -> std::io::Result<()> {
        // What cannot be read is no record, and must not be in the way of the next one.
        let Ok(text) = texts::read_to_string(&self.directory.join(FILE)) else {
            return Ok(());
        };
        if sealed::body(&text, &SCHEMAS).is_err() {
            return Ok(());
        }
        atomic::replace(&self.directory, FORMER, text.as_bytes())
    }

    /// Lists that a record needs: of one that is damaged none.
    fn lists_of(&self, name: &str) -> BTreeSet<String> {
        header(&self.directory.join(name)).map_or_else(BTreeSet::new, |header| header.lists)
    }

    /// Keeps what is in force from now on, also in the journal.
    ///
    /// # Errors
    /// A line that says why it cannot be kept.
    pub fn save(&self, confirmed: &Confirmed) -> Result<(), String> {
        let written = || {
            let text = self.text(confirmed)?;
            self.keep_former()?;
            atomic::replace(&self.directory, FILE, text.as_bytes())?;
            self.journal.add(&Entry::of(confirmed, true), &text)?;
            let mut needed = self.lists_of(FILE);
            needed.append(&mut self.lists_of(FORMER));
            needed.append(&mut self.journal.lists());
            self.lists.retain(&needed)
        };
        written().map_err(|error: std::io::Error| {
            format!(
                "what is in force cannot be kept for the next boot in {}: {}; try: check that \
                 `paths.state_dir` is a writable directory with free space",
                self.directory.join(FILE).display(),
                why(&error)
            )
        })
    }

    /// Notes in the journal what is about to be on trial.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn try_out(&self, confirmed: &Confirmed) -> std::io::Result<()> {
        let text = self.text(confirmed)?;
        self.journal.add(&Entry::of(confirmed, false), &text)
    }

    /// What is written of it; its lists are kept by then.
    fn text(&self, confirmed: &Confirmed) -> std::io::Result<String> {
        let Confirmed {
            number,
            mode,
            inputs,
            event,
        } = confirmed;
        self.lists.keep(&inputs.lists)?;
        let lists: Vec<_> = inputs.lists.iter().map(|list| KeptList::of(list)).collect();
        let needed = lists.iter().flat_map(KeptList::files).cloned().collect();
        let body = Body {
            number: *number,
            mode: (*mode).into(),
            inputs: Arc::clone(inputs),
            lists,
            since: event.since,
            cause: event.cause.clone(),
        };
        Ok(sealed::seal(SCHEMA, needed, &body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BuiltinName, Config};
    use crate::diagnostic::Source;
    use crate::lists::List;

    fn inputs() -> Arc<Inputs> {
        let mut config = Config::default();
        config.builtins.disable = vec![BuiltinName(fw_common::wire::BUILTINS[0].0)];
        config.node.labels.insert("role".into(), "cp".into());
        Arc::new(Inputs {
            config,
            node: "n1".into(),
            ssh_ports: [22, 2222].into(),
            policies: vec![Arc::new(Source {
                name: "a.yaml".into(),
                text: "kind: X\n---\n\"quoted\"\n".into(),
            })],
            inventory: Vec::new(),
            lists: Vec::new(),
            expired: 0,
        })
    }

    fn plan(number: u64, mode: Mode, inputs: &Arc<Inputs>) -> Confirmed {
        Confirmed {
            number,
            mode,
            inputs: Arc::clone(inputs),
            event: Event {
                since: 77,
                cause: "reload".into(),
            },
        }
    }

    /// With this list in a file.
    fn with_list(file: &Path, text: &str) -> Arc<Inputs> {
        std::fs::write(file, text).unwrap();
        let list = List::parse(file.to_str().unwrap(), text.as_bytes()).unwrap();
        Arc::new(Inputs {
            lists: vec![Arc::new(list)],
            ..Arc::unwrap_or_clone(inputs())
        })
    }

    #[test]
    fn lists_are_kept_in_files_of_their_own_as_long_as_a_record_needs_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.netset");
        let state = dir.path().join("state");
        let store = ConfirmedStore::new(&state);
        let kept = || std::fs::read_dir(state.join("lists")).unwrap().count();
        let former = with_list(&file, "192.0.2.0/24 until=2026-12-01\n");
        store.save(&plan(1, Mode::Audit, &former)).unwrap();
        // The file of the operator may be gone by then.
        std::fs::remove_file(&file).unwrap();
        let confirmed = store.load().confirmed.unwrap();
        assert_eq!(confirmed.inputs, former);
        assert_eq!(confirmed.inputs.lists[0].prefixes, former.lists[0].prefixes);
        store
            .save(&plan(2, Mode::Audit, &confirmed.inputs))
            .unwrap();

        let next = with_list(&file, "192.0.2.0/24\n");
        store.prepare(&next);
        std::fs::remove_file(&file).unwrap();
        store.save(&plan(3, Mode::Audit, &next)).unwrap();
        assert_eq!(kept(), 2, "the former record needs its own");
        store.save(&plan(4, Mode::Audit, &next)).unwrap();
        assert_eq!(kept(), 1);

        for entry in std::fs::read_dir(state.join("lists")).unwrap() {
            std::fs::write(entry.unwrap().path(), "junk\n").unwrap();
        }
        store.prepare(&next);
        let error = store.save(&plan(5, Mode::Audit, &next)).unwrap_err();
        assert!(error.contains("cannot be kept"), "{error}");
        std::fs::write(&file, "192.0.2.0/24\n").unwrap();
        store.prepare(&next);
        assert_eq!(store.load().trouble, None, "the copy was made anew");

        let gone = with_list(&file, "198.51.100.0/24\n");
        std::fs::write(&file, "").unwrap();
        let error = store.save(&plan(5, Mode::Audit, &gone)).unwrap_err();
        assert!(error.contains("has changed since it was read"), "{error}");
        for entry in std::fs::read_dir(state.join("lists")).unwrap() {
            std::fs::write(entry.unwrap().path(), "0.0.0.0/0\n").unwrap();
        }
        let trouble = store.load().trouble.unwrap();
        assert!(trouble.contains("its copy is damaged"), "{trouble}");
    }

    #[test]
    fn records_of_former_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = ConfirmedStore::new(dir.path());
        let body = serde_json::json!({"number": 7, "mode": "audit", "inputs": {
            "config": Config::default(), "node": "n1", "ssh_ports": [22],
            "policies": [], "inventory": [],
        }});
        let text = sealed::seal(1, BTreeSet::new(), &body).unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        assert_eq!(store.load().confirmed.unwrap().number, 7);
    }

    #[test]
    fn what_was_kept_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = ConfirmedStore::new(&dir.path().join("state"));
        assert!(store.load().confirmed.is_none() && !store.exists());
        store.save(&plan(7, Mode::Enforce, &inputs())).unwrap();
        let confirmed = store.load().confirmed.unwrap();
        assert_eq!((confirmed.number, confirmed.mode), (7, Mode::Enforce));
        assert_eq!(confirmed.inputs, inputs());
    }

    #[test]
    fn a_damaged_file_is_told_and_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let store = ConfirmedStore::new(dir.path());
        store.save(&plan(7, Mode::Enforce, &inputs())).unwrap();
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, b"\xff\xfe junk").unwrap();
        assert!(store.load().trouble.unwrap().contains("UTF-8"));
        store.save(&plan(8, Mode::Enforce, &inputs())).unwrap();
        assert_eq!(store.load().confirmed.unwrap().number, 8);
        for (damaged, reason) in [
            (text.replace("2222", "2223"), "the file is damaged"),
            (text[..text.len() / 2].to_owned(), "the file is damaged"),
            (
                text.replace("\"schema\":2", "\"schema\":9"),
                "by schema 9, not 2",
            ),
            (String::new(), "damaged"),
        ] {
            std::fs::write(&path, damaged).unwrap();
            let kept = store.load();
            let trouble = kept.trouble.unwrap();
            assert!(trouble.contains(reason), "{trouble}");
            assert!(kept.confirmed.is_none());
        }
    }

    #[test]
    fn what_was_kept_before_stands_in_for_what_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let store = ConfirmedStore::new(dir.path());
        for number in 7..=9 {
            store.save(&plan(number, Mode::Enforce, &inputs())).unwrap();
        }
        let path = dir.path().join(FILE);
        std::fs::write(&path, "{").unwrap();
        let kept = store.load();
        assert_eq!(kept.confirmed.unwrap().number, 8);
        assert!(kept.trouble.unwrap().contains("generation 8"));
        // The damaged one never takes the place of the sound one.
        store.save(&plan(10, Mode::Audit, &inputs())).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.load().confirmed.unwrap().number, 8);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = ConfirmedStore::new(&file).save(&plan(1, Mode::Audit, &inputs()));
        assert!(error.unwrap_err().contains("paths.state_dir"));
    }
}
