//! What is said about a piece of text: an error or a warning with its place.
//!
//! Everything that an operator wrote (policies, inventory, configuration) is
//! answered in this form, so that a terminal, an editor (`-o json`) and the log
//! of the daemon tell the same story.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::{Deserialize, Serialize};

/// A text that was read, with the name that messages call it by.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

impl Diagnostic {
    /// A finding without label and help; add them with [`Self::label`], [`Self::help`].
    pub fn new(
        severity: Severity,
        source: &Arc<Source>,
        span: Option<Span>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            source: Arc::clone(source),
            span,
            path: path.into(),
            message: message.into(),
            label: None,
            help: None,
        }
    }

    /// Sets what stands beside the underlined text.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    /// Sets what to try.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Whether this refuses the document.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// For a terminal or a log, over several lines and without a newline at the
    /// end: what is wrong, `file:line:column`, the line with the place
    /// underlined, the field, what to try. Colour only if `colour`.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str());
        let mut group = match self.span {
            Some(span) => {
                let (line, place) = first_line(&self.source.text, span);
                let mark = AnnotationKind::Primary
                    .span(place)
                    .label(self.label.as_deref());
                title.element(
                    Snippet::source(line)
                        .line_start(span.line)
                        .path(self.source.name.as_str())
                        .annotation(mark),
                )
            }
            None => Group::with_title(title).element(Origin::path(self.source.name.as_str())),
        };
        if !self.path.is_empty() {
            group = group.element(Level::NOTE.with_name("field").message(self.path.as_str()));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[group])
    }

    /// For editors and scripts: `{"line":…,"column":…,"path":…,"message":…}`. A
    /// finding about a whole file stands in line 1, column 1.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "line": self.span.map_or(1, |span| span.line),
            "column": self.span.map_or(1, |span| span.column),
            "path": self.path,
            "message": self.message,
        })
    }
}

/// One line, as for a log: `a.yaml:12:9: spec.ingress[0]: message`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.source.name)?;
        if let Some(span) = self.span {
            write!(f, "{}:{}:", span.line, span.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)
    }
}

/// The line in which `span` begins, and the span within it, cut at its end: what
/// goes on over several lines is underlined in the first one only.
fn first_line(text: &str, span: Span) -> (&str, std::ops::Range<usize>) {
    let start = text.floor_char_boundary(span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..]
        .find('\n')
        .map_or(text.len(), |newline| start + newline);
    let end = span.end.clamp(start, line_end);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let within = |at: usize| line.floor_char_boundary(at - line_start);
    (line, within(start)..within(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, start: usize, end: usize, line: usize, column: usize) -> Diagnostic {
        let source = Arc::new(Source {
            name: "a.yaml".into(),
            text: text.into(),
        });
        let span = Span {
            start,
            end,
            line,
            column,
        };
        Diagnostic::new(Severity::Error, &source, Some(span), "b.c", "wrong")
    }

    #[test]
    fn a_snippet_shows_line_column_field_and_help() {
        let mut diagnostic = at("a: 1\nbé: xyz # why\n", 10, 13, 2, 5);
        diagnostic.label("this").help("try that");
        let expected = "\
error: wrong
 --> a.yaml:2:5
  |
2 | bé: xyz # why
  |     ^^^ this
  |
  = field: b.c
  = help: try that";
        assert_eq!(diagnostic.render(false), expected);
        assert!(diagnostic.render(true).contains("\u{1b}["));
    }

    #[test]
    fn a_span_over_lines_is_cut_and_windows_lines_do_not_confuse() {
        let shown = at("a:\r\n  b: 1\r\n  c: 2\r\n", 6, 18, 2, 3).render(false);
        assert!(shown.contains(" --> a.yaml:2:3"), "{shown}");
        assert!(shown.contains("  |   ^^^^"), "{shown}");
        assert!(!shown.contains("c: 2"), "{shown}");
    }

    #[test]
    fn the_end_of_a_text_and_a_whole_file_can_be_meant() {
        assert!(at("", 0, 0, 1, 1).render(false).contains(" --> a.yaml:1:1"));
        let mut whole = at("x", 0, 0, 1, 1);
        whole.span = None;
        assert!(
            whole.render(false).contains("--> a.yaml"),
            "{}",
            whole.render(false)
        );
        assert_eq!(whole.to_json()["line"], 1);
    }

    #[test]
    fn json_has_exactly_the_promised_keys() {
        let json = at("a: b", 3, 4, 1, 4).to_json();
        let expected =
            serde_json::json!({"line": 1, "column": 4, "path": "b.c", "message": "wrong"});
        assert_eq!(json, expected);
    }
}
