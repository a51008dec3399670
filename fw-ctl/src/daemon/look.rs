//! A look at the operator's files: read, and compiled.
//!
//! It takes as long as the files are large, and touches nothing of the daemon's: so
//! it is taken beside the loop that answers requests. What was refused is
//! remembered with what was read, because the same files are refused again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::caution::{self, Change};
use super::{Compiled, ConfirmedStore, Inputs, Sources, Wrong};
use crate::cli::output::plain;
use crate::diagnostic::Diagnostic;
use crate::lists::{Found, is_list, moment};

/// What was read, for comparison.
#[derive(Clone, PartialEq, Eq)]
pub enum Seen {
    /// The configuration is wrong, for these reasons.
    Config(Vec<String>),
    /// The files that the configuration names.
    Files {
        /// What could be read.
        inputs: Arc<Inputs>,
        /// What could not, a line each.
        unreadable: Vec<String>,
    },
}

/// Files that were refused.
#[derive(Clone)]
pub struct Refusal {
    seen: Seen,
    wrong: Arc<Wrong>,
}

/// What a look found.
pub struct Look {
    pub(super) seen: Seen,
    pub(super) outcome: Result<Compiled, Arc<Wrong>>,
    /// Lists that are not taken, and why, a line each.
    pub(super) held: Vec<String>,
    /// Lists are to be looked at again soon.
    pub again: bool,
    /// How long it took.
    pub took: Duration,
}

impl Look {
    /// Reads and compiles; what is still as it was `refused` before is not compiled
    /// again. Lists that are right are kept in `store` beforehand.
    pub fn take<S: Sources>(
        sources: &S,
        store: &ConfirmedStore,
        refused: Option<&Refusal>,
    ) -> Self {
        let (seen, read) = read(sources);
        if let Some(refused) = refused
            && refused.seen == seen
        {
            return Self::new(seen, Err(Arc::clone(&refused.wrong)));
        }
        let outcome = match read {
            Ok(read) => sources.compile(read.inputs, read.unreadable),
            Err(errors) => Err(Wrong::Files(errors)),
        };
        Self::new(seen, outcome.map_err(Arc::new)).prepared(store)
    }

    /// The look of a daemon that starts. Nobody may have asked for that, after a crash or
    /// a reboot: so lists that were in force are replaced with the same caution as
    /// by themselves.
    pub fn first<S: Sources>(sources: &S, store: &ConfirmedStore) -> Self {
        let (seen, read) = read(sources);
        let (read, kept) = match (read, store.load().confirmed) {
            (Ok(read), Some(kept)) => (read, kept.inputs),
            _ => return Self::take(sources, store, None),
        };
        let known = |found: &Found| kept.lists.iter().any(|list| list.file == found.file);
        let (known, new): (Vec<_>, Vec<_>) = read.lists.into_iter().partition(known);
        let (mut inputs, mut unreadable) = read.texts;
        let now = moment::now();
        let change = Change::of(&kept.lists, known, &inputs.config, now);
        inputs.lists.extend(change.lists);
        unreadable.extend(inputs.add_lists(new, now));
        let (outcome, refused) = if unreadable.is_empty() {
            match caution::compile(sources, &inputs, &kept.lists, now) {
                Ok(partly) => (Ok(partly.compiled), partly.held),
                Err(wrong) => (Err(Arc::new(wrong)), Vec::new()),
            }
        } else {
            let outcome = sources.compile(Arc::new(inputs), unreadable);
            (outcome.map_err(Arc::new), Vec::new())
        };
        let mut look = Self::new(seen, outcome).prepared(store);
        look.held = change.held;
        look.held.extend(refused);
        look.again = change.again;
        if let (Ok(compiled), true) = (&look.outcome, look.held.is_empty()) {
            // Lists came in between: what was seen is what was compiled.
            look.seen = Seen::all(&compiled.inputs);
        }
        look
    }

    fn new(seen: Seen, outcome: Result<Compiled, Arc<Wrong>>) -> Self {
        Self {
            seen,
            outcome,
            held: Vec::new(),
            again: false,
            took: Duration::ZERO,
        }
    }

    fn prepared(self, store: &ConfirmedStore) -> Self {
        if let Ok(compiled) = &self.outcome {
            store.prepare(&compiled.inputs);
        }
        self
    }

    /// For the next look, if this one was refused.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let wrong = self.outcome.as_ref().err()?;
        Some(Refusal {
            seen: self.seen.clone(),
            wrong: Arc::clone(wrong),
        })
    }
}

impl Refusal {
    /// Whether nothing but lists was wrong.
    pub(super) fn is_of_lists(&self) -> bool {
        match &*self.wrong {
            Wrong::Files(errors) => {
                let mut names = errors.iter().map(|error| Path::new(&error.source.name));
                names.all(is_list)
            }
            Wrong::TooLarge(_) => false,
        }
    }
}

impl Seen {
    /// The same with the lists of `inputs`, which were taken from the disk since.
    pub(super) fn with_lists(self, inputs: &Arc<Inputs>, base: &Arc<Inputs>) -> Self {
        match self {
            Self::Config(lines) => Self::Config(lines),
            Self::Files {
                inputs: seen,
                unreadable,
            } => Self::Files {
                inputs: if Arc::ptr_eq(&seen, base) {
                    inputs.written()
                } else {
                    let written = inputs.written();
                    Arc::new(Inputs {
                        lists: written.lists.clone(),
                        expired: written.expired,
                        ..Arc::unwrap_or_clone(seen)
                    })
                },
                unreadable,
            },
        }
    }

    /// Whether it is `inputs`, and nothing was wrong.
    pub(super) fn is_of(&self, inputs: &Arc<Inputs>) -> bool {
        match self {
            Self::Files {
                inputs: seen,
                unreadable,
            } => unreadable.is_empty() && (Arc::ptr_eq(seen, inputs) || *seen == inputs.written()),
            Self::Config(_) => false,
        }
    }

    /// What was read where nothing was wrong.
    pub(super) fn all(inputs: &Arc<Inputs>) -> Self {
        Self::Files {
            inputs: inputs.written(),
            unreadable: Vec::new(),
        }
    }

    /// Whether it is `inputs`, whatever the lists are.
    pub(super) fn is_but_for_lists(&self, inputs: &Inputs) -> bool {
        match self {
            Self::Config(_) => false,
            Self::Files { inputs: seen, .. } => {
                let seen = Inputs {
                    lists: inputs.lists.clone(),
                    expired: inputs.expired,
                    ..Inputs::clone(seen)
                };
                seen == *inputs
            }
        }
    }

    /// What is to be read now. Compiles nothing.
    pub fn now<S: Sources>(sources: &S) -> Self {
        read(sources).0
    }
}

/// What was read.
struct Read {
    /// All that is right.
    inputs: Arc<Inputs>,
    /// What is wrong with the rest.
    unreadable: Vec<Diagnostic>,
    /// The same without lists.
    texts: (Inputs, Vec<Diagnostic>),
    lists: Vec<Found>,
}

fn read<S: Sources>(sources: &S) -> (Seen, Result<Read, Vec<Diagnostic>>) {
    let lines = |findings: &[Diagnostic]| findings.iter().map(plain).collect();
    let config = match sources.config() {
        Ok(config) => config,
        Err(errors) => return (Seen::Config(lines(&errors)), Err(errors)),
    };
    let texts = sources.read(&config);
    let lists = sources.lists(&config);
    let (mut inputs, mut unreadable) = texts.clone();
    unreadable.extend(inputs.add_lists(lists.clone(), moment::now()));
    let inputs = Arc::new(inputs);
    let seen = Seen::Files {
        inputs: Arc::clone(&inputs),
        unreadable: lines(&unreadable),
    };
    let read = Read {
        inputs,
        unreadable,
        texts,
        lists,
    };
    (seen, Ok(read))
}
