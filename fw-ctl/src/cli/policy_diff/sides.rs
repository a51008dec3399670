//! What is compared: found, read, compiled.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::cli::args::{last_paths, load};
use crate::cli::output::warn;
use crate::compile::plan::Mode;
use crate::config::{Config, Overrides, Paths};
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::daemon::sources::compile_known;
use crate::daemon::status::{Status, hex};
use crate::daemon::{Compiled, Confirmed, ConfirmedStore, Inputs, ModeStore};
use crate::datapath;
use crate::diagnostic::Diagnostic;
use crate::exit;
use crate::inventory::Inventory;
use crate::lists::{ListFiles, moment};

const ROOT: &str = "run it as root: what was in force is kept for root only";

/// A side as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Which {
    /// What is in force.
    Running,
    /// What a reload would read.
    Files,
    /// An entry of the journal.
    Generation(u64),
    /// Policies.
    Path(PathBuf),
}

impl FromStr for Which {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match (text, text.parse()) {
            ("running", _) => Self::Running,
            ("files", _) => Self::Files,
            (_, Ok(number)) => Self::Generation(number),
            (path, Err(_)) => Self::Path(path.into()),
        })
    }
}

/// A side.
pub(in crate::cli) struct Loaded {
    /// What it is, for people.
    pub(in crate::cli) label: String,
    /// Its number, if it was in force.
    pub(in crate::cli) generation: Option<u64>,
    /// `None`: these are only policies.
    pub(in crate::cli) mode: Option<Mode>,
    pub(in crate::cli) compiled: Compiled,
    pub(in crate::cli) inventory: Inventory,
}

/// What is in force, as far as it matters here.
struct InForce {
    number: u64,
    mode: Mode,
    /// Of the plan, in hex.
    hash: Option<String>,
    /// It is on trial.
    on_trial: bool,
}

/// This node: where its state is, and its daemon, if it answers.
pub(in crate::cli) struct Node {
    overrides: Overrides,
    paths: Paths,
    status: OnceCell<Option<Status>>,
}

impl Node {
    /// # Errors
    /// The configuration that the caller names is not there. What is wrong in one matters
    /// for the sides that need it.
    pub(in crate::cli) fn new(overrides: Overrides) -> Result<Self, Failure> {
        let paths = match load(&overrides) {
            Ok(loaded) => loaded.config.paths,
            Err(errors) => {
                let (paths, unreadable) = last_paths(&overrides);
                let named = overrides.config.as_ref();
                if named.is_some_and(|named| unreadable.contains(named)) {
                    return Err(Failure::refused("the configuration is refused", &errors));
                }
                paths
            }
        };
        Ok(Self {
            overrides,
            paths,
            status: OnceCell::new(),
        })
    }

    /// # Errors
    /// It cannot be had, or is invalid.
    pub(in crate::cli) fn load(&self, which: &Which) -> Result<Loaded, Failure> {
        match which {
            Which::Running => self.running(),
            Which::Files => self.files(),
            Which::Generation(number) => self.generation(*number),
            Which::Path(path) => self.path(path),
        }
    }

    /// What the daemon says; `None`: it does not answer.
    fn status(&self) -> Option<&Status> {
        let asked = || ask(&self.paths.control_socket(), &Request::Status).ok();
        self.status.get_or_init(asked).as_ref()
    }

    /// By the daemon, or by what is pinned where none answers.
    fn in_force(&self) -> Result<Option<InForce>, Failure> {
        let Some(status) = self.status() else {
            let pinned = datapath::in_force(&self.paths.pin_dir)?;
            return Ok(pinned.map(|pinned| InForce {
                number: pinned.number,
                mode: pinned.mode,
                hash: Some(hex(pinned.hash)),
                on_trial: false,
            }));
        };
        Ok(status.generation.number.map(|number| InForce {
            number,
            mode: mode(&status.mode),
            hash: status.generation.kernel.clone(),
            on_trial: status.trial.is_some(),
        }))
    }

    fn running(&self) -> Result<Loaded, Failure> {
        let store = ConfirmedStore::new(&self.paths.state_dir);
        let Some(in_force) = self.in_force()? else {
            self.readable()?;
            let kept = store.load();
            let last = kept.confirmed.ok_or_else(|| match kept.trouble {
                Some(trouble) => unusable(trouble),
                None if !nix::unistd::geteuid().is_root() => {
                    let message = "what is in force cannot be told from here";
                    Failure::new(exit::UNREACHABLE, message)
                        .help(format!("{ROOT}; or name two paths"))
                }
                None => Failure::new(
                    exit::UNREACHABLE,
                    "nothing is in force on this node, and nothing ever was",
                )
                .help("name two paths, or start the daemon"),
            })?;
            warn(&format!(
                "nothing is in force: compared is generation {}, which was in force last",
                last.number
            ));
            let label = format!("generation {}, the last that was in force", last.number);
            return recorded(last, label);
        };
        let number = in_force.number;
        let last = || {
            let last = store.load().confirmed;
            last.filter(|last| last.number == number)
        };
        let found = match self.entry(number) {
            Ok(found) => found.or_else(last),
            // It is kept twice.
            Err(damaged) => Some(last().ok_or(damaged)?),
        };
        let mut entry = found.ok_or_else(|| {
            Failure::new(
                exit::UNREACHABLE,
                format!(
                    "generation {number} is in force, but what it was made from is not kept in {}",
                    self.paths.state_dir.display()
                ),
            )
            .help("fw-ctl journal lists what is kept; name one of these, or a path")
        })?;
        entry.mode = in_force.mode;
        let trial = if in_force.on_trial { ", on trial" } else { "" };
        let label = format!("running: generation {number}{trial}");
        let mut loaded = recorded(entry, label)?;
        loaded.compiled.plan.mode = in_force.mode;
        let hash = hex(datapath::plan_hash(&loaded.compiled.plan));
        if in_force.hash.is_some_and(|kernel| kernel != hash) {
            warn(&format!(
                "this version makes another plan of what generation {number} was made from than \
                 is in the kernel: what is in force may differ from what is compared"
            ));
        }
        Ok(loaded)
    }

    fn generation(&self, number: u64) -> Result<Loaded, Failure> {
        let mut entry = self.entry(number)?.ok_or_else(|| {
            Failure::new(
                exit::USAGE,
                format!("there is no generation {number} in the journal"),
            )
            .help("fw-ctl journal lists those that are; a path is ./7")
        })?;
        // As a rollback would: what has expired since means nobody.
        let inputs = Arc::unwrap_or_clone(entry.inputs).at(moment::now());
        entry.inputs = Arc::new(inputs);
        recorded(entry, format!("generation {number}"))
    }

    /// An entry of the journal, if there is one of this number.
    fn entry(&self, number: u64) -> Result<Option<Confirmed>, Failure> {
        self.readable()?;
        let store = ConfirmedStore::new(&self.paths.state_dir);
        let journal = store.journal();
        let entry = journal.find(number).map(|entry| journal.load(&entry));
        entry.transpose().map_err(unusable)
    }

    /// That a directory may not be looked into is not the same as that nothing is there.
    fn readable(&self) -> Result<(), Failure> {
        let directory = self.paths.state_dir.join("journal");
        let listed = std::fs::read_dir(&directory);
        match listed {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(Failure::new(
                exit::UNREACHABLE,
                format!("you may not read {}", directory.display()),
            )
            .help(ROOT)),
            _ => Ok(()),
        }
    }

    fn files(&self) -> Result<Loaded, Failure> {
        let config = configured(&self.overrides)?;
        let mode = self.mode(&config);
        let dirs = config.policy.dirs.iter();
        let dirs: Vec<_> = dirs.map(|dir| dir.display().to_string()).collect();
        let label = format!("files: {}", dirs.join(", "));
        Loaded::read(&config, label, Some(mode))
    }

    /// The mode that a reload would take: one that was set at run time stays.
    fn mode(&self, config: &Config) -> Mode {
        let configured = config.policy.mode.into();
        match self.status() {
            Some(status) if status.mode_source != "configuration" => mode(&status.mode),
            Some(_) => configured,
            None => {
                let set = ModeStore::open(&self.paths.state_dir).get();
                set.unwrap_or(configured)
            }
        }
    }

    fn path(&self, path: &Path) -> Result<Loaded, Failure> {
        let overrides = Overrides {
            policies: vec![path.to_owned()],
            ..self.overrides.clone()
        };
        let config = configured(&overrides)?;
        Loaded::read(&config, path.display().to_string(), None)
    }
}

/// What is kept cannot be used; if nobody but root can read it, that is why.
fn unusable(trouble: String) -> Failure {
    if nix::unistd::geteuid().is_root() {
        Failure::new(exit::INVALID, trouble)
    } else {
        Failure::new(exit::UNREACHABLE, trouble).help(ROOT)
    }
}

/// As `status` says it.
fn mode(word: &str) -> Mode {
    if word == Mode::Enforce.name() {
        Mode::Enforce
    } else {
        Mode::Audit
    }
}

fn configured(overrides: &Overrides) -> Result<Config, Failure> {
    let loaded = load(overrides)
        .map_err(|errors| Failure::refused("the configuration is refused", &errors))?;
    Ok(loaded.config)
}

fn recorded(recorded: Confirmed, label: String) -> Result<Loaded, Failure> {
    let Confirmed {
        number,
        mode,
        inputs,
        event: _,
    } = recorded;
    let mut loaded = Loaded::compile(inputs, Vec::new(), label, Some(mode))?;
    loaded.generation = Some(number);
    Ok(loaded)
}

impl Loaded {
    /// What a configuration names.
    fn read(config: &Config, label: String, mode: Option<Mode>) -> Result<Self, Failure> {
        let (inputs, unreadable) = Inputs::read(config, &ListFiles::default());
        Self::compile(Arc::new(inputs), unreadable, label, mode)
    }

    fn compile(
        inputs: Arc<Inputs>,
        unreadable: Vec<Diagnostic>,
        label: String,
        mode: Option<Mode>,
    ) -> Result<Self, Failure> {
        let (compiled, inventory) = compile_known(inputs, unreadable)
            .map_err(|wrong| wrong.failure(&format!("{label} is refused")))?;
        Ok(Self {
            label,
            generation: None,
            mode,
            compiled,
            inventory,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_told_apart() {
        for (text, which) in [
            ("running", Which::Running),
            ("files", Which::Files),
            ("7", Which::Generation(7)),
            ("./7", Which::Path("./7".into())),
            ("./running", Which::Path("./running".into())),
            ("-7", Which::Path("-7".into())),
            ("policies/", Which::Path("policies/".into())),
        ] {
            assert_eq!(text.parse(), Ok(which), "{text}");
        }
    }
}
