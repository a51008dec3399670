//! What is said when a text is no YAML, or more YAML than we take.
//!
//! The library's messages are about its API (budgets, deserializers). Ours are
//! about the text, and say what to do.

use std::sync::Arc;

use serde_saphyr::{Error, budget::BudgetBreach};

use super::Limits;
use super::raw::span_of;
use crate::diagnostic::{Diagnostic, Severity, Source, Span};

/// What to do with a file that is too large.
const SPLIT: &str = "split it into several files; a long list of prefixes belongs in a file \
                     NAME.cidr of the inventory, one a line";

/// The name and the place of a repeated key, if that is what is wrong.
pub(super) fn duplicate_key(error: &Error, text: &str) -> Option<(String, Span)> {
    match innermost(error) {
        Error::DuplicateMappingKey {
            key: Some(key),
            location,
        } => Some((key.clone(), span_of(*location, text))),
        _ => None,
    }
}

/// The text is larger than `limits` allow.
pub(super) fn too_large(source: &Arc<Source>, limits: &Limits) -> Box<Diagnostic> {
    Box::new(Diagnostic {
        severity: Severity::Error,
        source: Arc::clone(source),
        span: None,
        path: String::new(),
        message: format!(
            "the file has more than {} bytes, and no more are read",
            limits.bytes
        ),
        label: None,
        help: Some(SPLIT.to_owned()),
    })
}

/// `error` of the library, in our words. `first_key` is where and as what path
/// the key of a duplicate was written first.
pub(super) fn diagnostic(
    source: &Arc<Source>,
    limits: &Limits,
    error: &Error,
    first_key: Option<(Span, String)>,
) -> Box<Diagnostic> {
    // Of an alias, the place where it is used: the wrapper knows it.
    let span = error.location().map(|at| place(at, &source.text));
    let error = innermost(error);
    let (message, help) = words(error, limits);
    let mut diagnostic = Diagnostic {
        severity: Severity::Error,
        source: Arc::clone(source),
        span,
        path: String::new(),
        message,
        label: None,
        help,
    };
    let is_syntax = matches!(error, Error::ExternalMessage { .. });
    if let Some(tab) = span
        .filter(|_| is_syntax)
        .and_then(|at| tab_in_indentation(&source.text, at))
    {
        diagnostic.span = Some(tab);
        "a tab in the indentation".clone_into(&mut diagnostic.message);
        diagnostic.help = Some("YAML is indented with spaces only: replace the tab".to_owned());
    } else if let Some((key, second)) = duplicate_key(error, &source.text) {
        diagnostic.span = Some(second);
        diagnostic.message = format!("the field `{key}` is given twice");
        diagnostic.label = Some("given again here".to_owned());
        diagnostic.help =
            Some("keep one of them; a list takes several values: `[a, b]`".to_owned());
        if let Some((first, path)) = first_key {
            diagnostic.path = path;
            diagnostic.label = Some(format!("given first in line {}", first.line));
        }
    }
    Box::new(diagnostic)
}

/// The error itself, out of the wrappers that the library puts around it.
fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => innermost(error),
        other => other,
    }
}

/// The place of an error. The scanner's own errors have a line and a column but
/// no byte offset; one behind the last line moves to the end of the text, so that
/// there is something to underline.
fn place(at: serde_saphyr::Location, text: &str) -> Span {
    let mut span = span_of(at, text);
    let end = text.trim_end().len();
    let line_start = text
        .split_inclusive('\n')
        .take(span.line.saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    if line_start < end || end == 0 {
        let column_offset = text[line_start..]
            .char_indices()
            .nth(span.column.saturating_sub(1))
            .map_or(text.len() - line_start, |(offset, _)| offset);
        span.start = line_start + column_offset;
    } else {
        let last_line = text[..end].rfind('\n').map_or(0, |newline| newline + 1);
        span.start = end;
        span.line = text[..end].matches('\n').count() + 1;
        span.column = text[last_line..end].chars().count() + 1;
    }
    span.end = span.end.max(span.start);
    span
}

/// The first tab in the indentation of the line of `from` or the next one.
fn tab_in_indentation(text: &str, from: Span) -> Option<Span> {
    let mut offset = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let indentation = &line[..line.len() - line.trim_start().len()];
        if (from.line..=from.line + 1).contains(&(i + 1))
            && let Some(tab) = indentation.find('\t')
        {
            let start = offset + tab;
            return Some(Span {
                start,
                end: start + 1,
                line: i + 1,
                column: tab + 1,
            });
        }
        offset += line.len();
    }
    None
}

/// Message and help.
fn words(error: &Error, limits: &Limits) -> (String, Option<String>) {
    let help = |text: &str| Some(text.to_owned());
    match error {
        Error::Budget { breach, .. } => budget_words(breach, limits),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "the aliases (`*name`) expand to more than is read".to_owned(),
            help("write the values out where they are used"),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => (
            "an alias (`*name`) stands inside the value that it names".to_owned(),
            help("write the value out where it is used"),
        ),
        Error::UnknownAnchor { .. } => (
            "this alias (`*name`) names no anchor (`&name`) above it".to_owned(),
            help("a text that begins with `*` must be quoted: \"*.example.com\""),
        ),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => (
            "`<<` takes a map or a list of maps".to_owned(),
            help("use an alias of a map: `<<: *name`"),
        ),
        // The scanner's own limit, which is set to that of the budget.
        Error::ExternalMessage { msg, .. } if msg.contains("recursion limit") => too_deep(limits),
        Error::ExternalMessage { msg, .. } => syntax_words(msg),
        Error::Eof { .. } => ("the text ends too early".to_owned(), None),
        other => {
            let text = other.to_string();
            let text = strip_place(&text);
            if text.contains("tag") {
                (
                    text.to_owned(),
                    help("Kubernetes objects need no tags (`!…`): leave it out, or quote the text"),
                )
            } else {
                (text.to_owned(), None)
            }
        }
    }
}

fn too_deep(limits: &Limits) -> (String, Option<String>) {
    (
        format!(
            "lists and maps are nested more than {} levels deep",
            limits.depth
        ),
        Some("no Kubernetes object is nested that deep: is a bracket not closed?".to_owned()),
    )
}

fn budget_words(breach: &BudgetBreach, limits: &Limits) -> (String, Option<String>) {
    match breach {
        BudgetBreach::Depth { .. } => too_deep(limits),
        BudgetBreach::Documents { .. } => (
            format!("the file has more than {} documents", limits.documents),
            Some("split it into several files".to_owned()),
        ),
        BudgetBreach::Nodes { .. }
        | BudgetBreach::Events { .. }
        | BudgetBreach::ScalarBytes { .. } => (
            format!("the file has more than {} values", limits.nodes),
            Some(SPLIT.to_owned()),
        ),
        _ => (
            "the anchors (`&name`) and aliases (`*name`) are more than is read".to_owned(),
            Some("write the values out where they are used".to_owned()),
        ),
    }
}

/// A message of the scanner, with what usually causes it.
fn syntax_words(message: &str) -> (String, Option<String>) {
    if message.contains("<document start>") {
        return (
            "something follows the end of the object".to_owned(),
            Some(
                "between two objects stands a line `---`, in a file of JSON too; or make them \
                 the `items` of a `kind: List`"
                    .to_owned(),
            ),
        );
    }
    let help = if message.contains("quoted scalar") {
        Some("is the quote missing that ends the text?")
    } else if message.contains("':'") {
        Some("is a `]` or `}` missing in a line above, or quotes around a text with a `:`?")
    } else if message.contains("mapping values") {
        Some("a `:` followed by a space begins a value; quote the text if it belongs to it")
    } else if message.contains("simple key") || message.contains("did not find expected key") {
        Some("is a `:` missing, or the indentation not that of the lines above?")
    } else if message.contains("flow") {
        Some("is a `]`, `}` or `,` missing?")
    } else if message.contains("block") || message.contains("indent") {
        Some("fields of one map, and the `-` of one list, begin in the same column")
    } else {
        None
    };
    (
        format!("not valid YAML: {}", strip_place(message)),
        help.map(str::to_owned),
    )
}

/// Without the line and column that the library appends: we show them ourselves.
fn strip_place(message: &str) -> &str {
    [" at line ", " at byte ", " (line "]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min()
        .map_or(message, |cut| &message[..cut])
}
