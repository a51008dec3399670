//! What can go wrong while a lab is built, in words for whoever runs it.

use std::io;

/// Result of the lab's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, with what it failed on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was attempted, as an infinitive with its object.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program could be run but said no.
    #[error("`{command}` failed: {output}")]
    Command {
        /// The command line.
        command: String,
        /// What it wrote.
        output: String,
    },
    /// Something that this machine lacks, and without which there is nothing to test.
    #[error("{what}: {why}\n  try: {advice}")]
    Missing {
        /// What there is not, as a sentence.
        what: String,
        /// Because of what.
        why: String,
        /// What would help.
        advice: String,
    },
    /// Something of the program under test was not as it must be.
    #[error("{0}")]
    Unexpected(String),
}

impl Error {
    /// Says what was attempted when `source` happened; for `map_err`.
    pub fn io<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |source| Self::Io {
            what,
            source: source.into(),
        }
    }
}
