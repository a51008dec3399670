//! Walking a tree of values while collecting everything that is wrong with it.
//!
//! A [`Field`] is a value with its path. The [`Decoder`] hands out typed views of
//! fields (objects with known keys, lists, strings …) and notes what does not fit.
//! Whoever reads a field goes on with what is left, so that one run reports every
//! mistake of a document.

use std::sync::Arc;

use super::hints;
use crate::diagnostic::{Diagnostic, Severity, Source, Span, Spanned};
use crate::policy::yaml::{Kind, Node};
use crate::printable::{printable, quoted};

/// Collects the findings about one document.
pub(super) struct Decoder {
    source: Arc<Source>,
    /// Put before every path: `items[3].` for the fourth object of a `List`.
    prefix: String,
    diagnostics: Vec<Diagnostic>,
}

/// A value and the path that leads to it, as in `spec.ingress[0]`.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
}

/// A map whose keys were checked.
#[derive(Clone, Debug)]
pub(super) struct Object<'n> {
    pub(super) field: Field<'n>,
    entries: &'n [(Spanned<String>, Node)],
}

impl Field<'_> {
    pub(super) fn span(&self) -> Span {
        self.node.span
    }

    /// The path of a key of this map.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            printable(key)
        } else if key.contains(['.', '/', ':']) {
            format!("{}[{}]", self.path, quoted(key))
        } else {
            format!("{}.{}", self.path, printable(key))
        }
    }
}

impl<'n> Object<'n> {
    /// A key's value; `None` if it is absent or null, which Kubernetes takes for absent.
    pub(super) fn get(&self, key: &str) -> Option<Field<'n>> {
        let (_, node) = self
            .entries
            .iter()
            .find(|(k, v)| k.value == key && !v.is_null())?;
        Some(Field {
            node,
            path: self.field.path_of(key),
        })
    }

    /// Where a key is written, or else where the map begins.
    pub(super) fn key_span(&self, key: &str) -> Span {
        self.entries
            .iter()
            .find(|(k, _)| k.value == key)
            .map_or(self.field.span(), |(k, _)| k.span)
    }

    /// All keys with their values.
    pub(super) fn entries(&self) -> &'n [(Spanned<String>, Node)] {
        self.entries
    }
}

impl Decoder {
    pub(super) fn new(source: &Arc<Source>, prefix: &str) -> Self {
        Self {
            source: Arc::clone(source),
            prefix: prefix.to_owned(),
            diagnostics: Vec::new(),
        }
    }

    /// The findings, in the order of the text.
    /// The text that is read.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics
            .sort_by_key(|found| found.span.map_or(0, |span| span.start));
        self.diagnostics
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    fn note(
        &mut self,
        severity: Severity,
        span: Span,
        path: &str,
        message: String,
    ) -> &mut Diagnostic {
        let path = format!("{}{path}", self.prefix);
        let found = Diagnostic::new(severity, &self.source, Some(span), path, message);
        self.diagnostics.push(found);
        self.diagnostics.last_mut().expect("one was just pushed")
    }

    /// Notes an error at a field.
    pub(super) fn error(&mut self, at: &Field<'_>, message: impl Into<String>) -> &mut Diagnostic {
        self.note(Severity::Error, at.span(), &at.path, message.into())
    }

    /// Notes a warning at a field.
    pub(super) fn warn(&mut self, at: &Field<'_>, message: impl Into<String>) -> &mut Diagnostic {
        self.note(Severity::Warning, at.span(), &at.path, message.into())
    }

    /// Notes an error at the key of an object.
    pub(super) fn error_at_key(
        &mut self,
        object: &Object<'_>,
        key: &str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let path = object.field.path_of(key);
        self.note(Severity::Error, object.key_span(key), &path, message.into())
    }

    /// Notes an error at the value of a key that is there.
    pub(super) fn error_at_value(
        &mut self,
        object: &Object<'_>,
        key: &str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let at = object.get(key).unwrap_or_else(|| object.field.clone());
        self.error(&at, message)
    }

    /// Notes a warning at the key of an object.
    pub(super) fn warn_at_key(
        &mut self,
        object: &Object<'_>,
        key: &str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let path = object.field.path_of(key);
        self.note(
            Severity::Warning,
            object.key_span(key),
            &path,
            message.into(),
        )
    }

    /// Warns that Cilium would enforce what stands at a key, and we do not.
    pub(super) fn not_enforced(&mut self, object: &Object<'_>, key: &str, what: &str) {
        self.warn_at_key(object, key, format!("not enforced by fw-ctl: {what}"))
            .help("a policy for this host that uses it is refused when it is loaded");
    }

    fn wrong_type(&mut self, at: &Field<'_>, wanted: &str) -> &mut Diagnostic {
        let message = format!("must be {wanted}, not {}", at.node.kind_name());
        self.error(at, message)
    }

    /// What stands in the text, quotes included.
    fn written(&self, span: Span) -> &str {
        self.source.text.get(span.start..span.end).unwrap_or("")
    }

    /// A map, whatever its keys.
    pub(super) fn open_object<'n>(&mut self, at: &Field<'n>) -> Option<Object<'n>> {
        let Some(entries) = at.node.entries() else {
            let list = at.node.items().is_some();
            let found = self.wrong_type(at, "a map");
            if list {
                found.help("leave the `-` out: there is only one of it");
            }
            return None;
        };
        Some(Object {
            field: at.clone(),
            entries,
        })
    }

    /// A map with known keys only.
    pub(super) fn object<'n>(&mut self, at: &Field<'n>, known: &[&str]) -> Option<Object<'n>> {
        let object = self.open_object(at)?;
        self.unknown_fields(&object, known, Severity::Error);
        Some(object)
    }

    /// Notes the keys of a map that are not known.
    pub(super) fn unknown_fields(
        &mut self,
        object: &Object<'_>,
        known: &[&str],
        severity: Severity,
    ) {
        for (key, _) in object.entries {
            if known.contains(&key.value.as_str()) {
                continue;
            }
            let path = object.field.path_of(&key.value);
            let hint = hints::unknown_field(&key.value, &path, known);
            let message = format!("unknown field `{}`", key.value);
            let found = self.note(severity, key.span, &path, message);
            found.label = hint.label;
            found.help = hint.help;
        }
    }

    /// A list, as fields.
    pub(super) fn list<'n>(&mut self, at: &Field<'n>) -> Option<Vec<Field<'n>>> {
        let Some(items) = at.node.items() else {
            self.wrong_type(at, "a list")
                .help("begin each entry with `- `, or write `[a, b]`");
            return None;
        };
        let item = |(i, node)| Field {
            node,
            path: format!("{}[{i}]", at.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A string.
    pub(super) fn text<'n>(&mut self, at: &Field<'n>) -> Option<&'n str> {
        if let Kind::Str(text) = &at.node.kind {
            return Some(text);
        }
        let written = self.written(at.span()).to_owned();
        let boolean = at.node.as_bool().filter(|_| at.node.ambiguous);
        let found = self.wrong_type(at, "a string");
        match (&at.node.kind, boolean) {
            (_, Some(value)) => {
                found.help(format!(
                    "Kubernetes reads an unquoted {written} as {value}: write \"{written}\""
                ));
            }
            (Kind::Bool(_) | Kind::Int(_) | Kind::Float(_), _) => {
                found.help(format!("quote it: \"{written}\""));
            }
            (Kind::Null, _) => {
                found.help("write \"\" for an empty string");
            }
            _ => {}
        }
        None
    }

    /// A string with its place.
    pub(super) fn spanned_text(&mut self, at: &Field<'_>) -> Option<Spanned<String>> {
        let span = at.span();
        self.text(at).map(|text| Spanned {
            value: text.to_owned(),
            span,
        })
    }

    /// One of some strings.
    pub(super) fn one_of<'n>(
        &mut self,
        at: &Field<'n>,
        what: &str,
        known: &[&'static str],
    ) -> Option<&'n str> {
        let text = self.text(at)?;
        if known.contains(&text) {
            return Some(text);
        }
        let near = hints::nearest(text, known.iter().copied());
        let all = hints::enumerate(known);
        let found = self.error(at, format!("{what} {} is not known", quoted(text)));
        if let Some(near) = near {
            found.label(format!("did you mean {near}?"));
        }
        found.help(format!("one of {all}"));
        None
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, at: &Field<'_>) -> Option<bool> {
        let Some(value) = at.node.as_bool() else {
            self.wrong_type(at, "a boolean")
                .help("write true or false, without quotes");
            return None;
        };
        if at.node.ambiguous {
            let written = self.written(at.span()).to_owned();
            self.warn(
                at,
                format!("{written} is a boolean for Kubernetes, a string in YAML 1.2"),
            )
            .help(format!("write {value}"));
        }
        Some(value)
    }

    /// A whole number within bounds.
    pub(super) fn int(
        &mut self,
        at: &Field<'_>,
        bounds: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let Some(value) = at.node.as_int() else {
            match at.node.kind {
                // Beyond what a whole number holds here, and beyond any bounds.
                Kind::Float(huge) if huge.is_finite() && huge.fract() == 0.0 => {
                    self.out_of_range(at, &bounds);
                }
                Kind::Float(_) => {
                    let written = self.written(at.span()).to_owned();
                    self.error(at, format!("must be a whole number, not {written}"));
                }
                Kind::Str(_) => {
                    self.wrong_type(at, "a whole number")
                        .help("write it without quotes");
                }
                _ => {
                    self.wrong_type(at, "a whole number");
                }
            }
            return None;
        };
        self.warn_ambiguous_int(at, value);
        if !bounds.contains(&value) {
            self.out_of_range(at, &bounds);
            return None;
        }
        Some(value)
    }

    fn out_of_range(&mut self, at: &Field<'_>, bounds: &std::ops::RangeInclusive<i64>) {
        let written = self.written(at.span()).to_owned();
        self.error(at, format!("{written} is out of range"))
            .help(format!("between {} and {}", bounds.start(), bounds.end()));
    }

    /// Warns of a number that is another one in YAML 1.2.
    pub(super) fn warn_ambiguous_int(&mut self, at: &Field<'_>, value: i64) {
        if at.node.ambiguous {
            let written = self.written(at.span()).to_owned();
            self.warn(
                at,
                format!("{written} is {value} for Kubernetes, something else in YAML 1.2"),
            )
            .help(format!("write {value}"));
        }
    }

    /// A key that must be there.
    pub(super) fn required<'n>(&mut self, object: &Object<'n>, key: &str) -> Option<Field<'n>> {
        let value = object.get(key);
        if value.is_none() {
            self.error_at_key(object, key, format!("`{key}` is missing"));
        }
        value
    }

    /// Reads a map of strings.
    pub(super) fn string_map<'n>(
        &mut self,
        at: &Field<'n>,
    ) -> Vec<(&'n Spanned<String>, Field<'n>)> {
        let Some(object) = self.open_object(at) else {
            return Vec::new();
        };
        let mut entries = Vec::with_capacity(object.entries.len());
        for (key, node) in object.entries {
            let value = Field {
                node,
                path: at.path_of(&key.value),
            };
            self.warn_ambiguous_key(key, &value.path);
            if self.text(&value).is_some() {
                entries.push((key, value));
            }
        }
        entries
    }

    /// Warns of a key such as `on`, which Kubernetes reads as `true`.
    fn warn_ambiguous_key(&mut self, key: &Spanned<String>, path: &str) {
        let written = self.written(key.span).to_owned();
        if !written.starts_with(['"', '\'']) && written != key.value && !written.is_empty() {
            let message = format!(
                "Kubernetes reads the key {written} as {}",
                quoted(&key.value)
            );
            self.note(Severity::Warning, key.span, path, message)
                .help(format!("quote it if you mean the word: \"{written}\""));
        }
    }
}
