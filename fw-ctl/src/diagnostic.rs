//! What is said about a piece of text: an error or a warning with its place.
//!
//! Everything that an operator wrote (policies, inventory, configuration) is
//! answered in this form, so that a terminal, an editor (`-o json`) and the log
//! of the daemon tell the same story.

use std::sync::Arc;

/// A text that was read, with the name that messages call it by.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the operator gave it, or `<stdin>`.
    pub name: String,
    /// The whole text; spans are byte offsets into it.
    pub text: String,
}

/// A stretch of a [`Source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line of `start`, from 1.
    pub line: usize,
    /// Column of `start` in characters, from 1.
    pub column: usize,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place in the source.
    pub span: Span,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document, and with it the change, is refused.
    Error,
    /// Accepted, but probably not what was meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The text that it is about.
    pub source: Arc<Source>,
    /// Where in the text; `None`: the whole file.
    pub span: Option<Span>,
    /// The field, as in `spec.ingress[0].toPorts[0].ports[0].port`; may be empty.
    pub path: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What stands beside the underlined text, if the message does not say it.
    pub label: Option<String>,
    /// What to try.
    pub help: Option<String>,
}
