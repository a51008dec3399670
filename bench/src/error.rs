//! What can go wrong: no root, a kernel that lacks something, a peer that fails.

use std::io;

/// As a person reads it: what failed, on what, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab could not be built, or a command in it failed.
    #[error(transparent)]
    Lab(#[from] sandbox::Error),
    /// A call of the kernel failed.
    #[error("cannot {what}: {why}")]
    Kernel {
        /// `load the generator's program`.
        what: String,
        /// In words, with what the verifier says where it refused a program.
        why: String,
    },
    /// A file could not be read or written.
    #[error("cannot {what}: {source}")]
    File {
        /// `write bench/report/x.md`.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Something is not as the benchmark needs it.
    #[error("{0}")]
    Unfit(String),
}

impl Error {
    /// Turns the system's answer into "cannot WHAT: ANSWER", for `map_err`.
    pub fn file(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::File { what, source }
    }

    /// The same for a call of the kernel.
    pub fn kernel(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Kernel {
            what,
            why: error.to_string(),
        }
    }
}

/// With [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
