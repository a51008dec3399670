//! A look at the operator's files: read, and compiled.
//!
//! It takes as long as the files are large, and touches nothing of the daemon's: so
//! it is taken beside the loop that answers requests. What was refused is
//! remembered with what was read, because the same files are refused again.

use std::sync::Arc;

use super::{Compiled, ConfirmedStore, Inputs, Sources, Wrong};
use crate::cli::output::plain;
use crate::diagnostic::Diagnostic;

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
            return Self {
                seen,
                outcome: Err(Arc::clone(&refused.wrong)),
            };
        }
        let outcome = match read {
            Ok((inputs, unreadable)) => sources.compile(inputs, unreadable),
            Err(errors) => Err(Wrong::Files(errors)),
        };
        if let Ok(compiled) = &outcome {
            store.prepare(&compiled.inputs);
        }
        Self {
            seen,
            outcome: outcome.map_err(Arc::new),
        }
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
                    Arc::clone(inputs)
                } else {
                    Arc::new(Inputs {
                        lists: inputs.lists.clone(),
                        expired: inputs.expired,
                        ..Arc::unwrap_or_clone(seen)
                    })
                },
                unreadable,
            },
        }
    }

    /// What is to be read now. Compiles nothing.
    pub fn now<S: Sources>(sources: &S) -> Self {
        read(sources).0
    }
}

type Read = Result<(Arc<Inputs>, Vec<Diagnostic>), Vec<Diagnostic>>;

fn read<S: Sources>(sources: &S) -> (Seen, Read) {
    let lines = |findings: &[Diagnostic]| findings.iter().map(plain).collect();
    match sources.config() {
        Ok(config) => {
            let (inputs, unreadable) = sources.read(&config);
            let inputs = Arc::new(inputs);
            let seen = Seen::Files {
                inputs: Arc::clone(&inputs),
                unreadable: lines(&unreadable),
            };
            (seen, Ok((inputs, unreadable)))
        }
        Err(errors) => (Seen::Config(lines(&errors)), Err(errors)),
    }
}
