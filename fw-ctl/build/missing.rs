//! What the eBPF build lacks, and how to get it.

use std::fmt;

/// A part of the toolchain that is not there.
#[derive(Debug)]
pub struct Missing {
    /// What is lacking, as a sentence without its full stop.
    pub what: String,
    /// What was looked at and why it would not do, one a line.
    pub tried: Vec<String>,
    /// The Debian packages that bring it.
    pub debian: Vec<String>,
    /// A way for other systems, as a command.
    pub elsewhere: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        for line in &self.tried {
            write!(f, "\n  looked at {line}")?;
        }
        if !self.debian.is_empty() {
            write!(
                f,
                "\n  try, on Debian: make deps (or: apt-get update && apt-get install {})",
                self.debian.join(" ")
            )?;
        }
        write!(f, "\n  try, elsewhere: {}", self.elsewhere)
    }
}
