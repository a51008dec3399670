//! The inputs of the last plan that was put in force, on disk.
//!
//! They outlast a reboot, after which nothing is pinned: if the operator's files
//! are broken by then, this is what the node is filtered by. What is kept are the
//! texts, not the tables: from them a later version of the program makes a plan
//! of the same policy, with its names and places.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::mode::Word;
use super::{Inputs, atomic};
use crate::compile::plan::Mode;
use crate::texts;
use crate::why::why;

const FILE: &str = "confirmed.json";
/// What was kept before that.
const FORMER: &str = "confirmed.json.old";
const SCHEMA: u32 = 1;

/// First line of the file; the second is a [`Body`].
#[derive(Serialize, Deserialize)]
struct Header {
    schema: u32,
    /// Of the program that wrote it.
    version: String,
    /// Of the second line, in hex.
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Body {
    number: u64,
    mode: Word,
    inputs: Arc<Inputs>,
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
#[derive(Debug)]
pub struct ConfirmedStore {
    directory: PathBuf,
}

impl ConfirmedStore {
    /// The store in a state directory. Nothing is read or written.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
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
        let (header, body) = text.split_once('\n').unwrap_or((&text, ""));
        let header: Header = serde_json::from_str(header).map_err(|e| wrong(e.to_string()))?;
        if header.schema != SCHEMA {
            let Header {
                schema, version, ..
            } = header;
            let reason = format!("version {version} wrote them by schema {schema}, not {SCHEMA}");
            return Err(wrong(reason));
        }
        let body = body.trim_end();
        if header.sha256 != sha256(body) {
            return Err(wrong("the file is damaged".into()));
        }
        let body: Body = serde_json::from_str(body).map_err(|e| wrong(e.to_string()))?;
        Ok(Some(Confirmed {
            number: body.number,
            mode: body.mode.into(),
            inputs: body.inputs,
        }))
    }

    /// Keeps the present record, if it is sound, beside the one that comes.
    fn keep_former(&self) -> std::io::Result<()> {
        if !matches!(self.load_file(FILE), Ok(Some(_))) {
            return Ok(());
        }
        let bytes = std::fs::read(self.directory.join(FILE))?;
        atomic::replace(&self.directory, FORMER, &bytes)
    }

    /// Keeps what is in force from now on.
    ///
    /// # Errors
    /// A line that says why it cannot be kept.
    pub fn save(&self, number: u64, mode: Mode, inputs: &Arc<Inputs>) -> Result<(), String> {
        let written = || {
            let body = serde_json::to_string(&Body {
                number,
                mode: mode.into(),
                inputs: Arc::clone(inputs),
            })?;
            let header = serde_json::to_string(&Header {
                schema: SCHEMA,
                version: env!("CARGO_PKG_VERSION").into(),
                sha256: sha256(&body),
            })?;
            let text = format!("{header}\n{body}\n");
            self.keep_former()?;
            atomic::replace(&self.directory, FILE, text.as_bytes())
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
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BuiltinName, Config};
    use crate::diagnostic::Source;

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
        })
    }

    #[test]
    fn what_was_kept_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = ConfirmedStore::new(&dir.path().join("state"));
        assert!(store.load().confirmed.is_none() && !store.exists());
        store.save(7, Mode::Enforce, &inputs()).unwrap();
        let confirmed = store.load().confirmed.unwrap();
        assert_eq!((confirmed.number, confirmed.mode), (7, Mode::Enforce));
        assert_eq!(confirmed.inputs, inputs());
    }

    #[test]
    fn a_damaged_file_is_told_and_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let store = ConfirmedStore::new(dir.path());
        store.save(7, Mode::Enforce, &inputs()).unwrap();
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for (damaged, reason) in [
            (text.replace("2222", "2223"), "the file is damaged"),
            (text[..text.len() / 2].to_owned(), "the file is damaged"),
            (
                text.replace("\"schema\":1", "\"schema\":9"),
                "by schema 9, not 1",
            ),
            (String::new(), "EOF"),
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
            store.save(number, Mode::Enforce, &inputs()).unwrap();
        }
        let path = dir.path().join(FILE);
        std::fs::write(&path, "{").unwrap();
        let kept = store.load();
        assert_eq!(kept.confirmed.unwrap().number, 8);
        assert!(kept.trouble.unwrap().contains("generation 8"));
        // The damaged one never takes the place of the sound one.
        store.save(10, Mode::Audit, &inputs()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.load().confirmed.unwrap().number, 8);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = ConfirmedStore::new(&file).save(1, Mode::Audit, &inputs());
        assert!(error.unwrap_err().contains("paths.state_dir"));
    }
}
