//! The library's side: what serde gives us, with places, before it becomes a [`Node`].

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Tagged};

use super::{Kind, Node, scalar};
use crate::diagnostic::{Diagnostic, Severity, Source, Span, Spanned};

/// A value as the library gives it, before the dialect of Kubernetes is applied.
#[derive(Clone)]
pub(super) struct Raw {
    at: Location,
    tag: Option<String>,
    value: RawValue,
}

/// Its value; scalars in the library's reading.
#[derive(Clone)]
pub(super) enum RawValue {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl Raw {
    /// The tree of it, with places in `source`.
    pub(super) fn into_node(self, source: &Arc<Source>) -> Result<Node, Box<Diagnostic>> {
        let mut span = span_of(self.at, &source.text);
        let node = |span, kind| Node {
            span,
            kind,
            ambiguous: false,
        };
        Ok(match self.value {
            RawValue::Seq(items) => {
                let items: Vec<Node> = items
                    .into_iter()
                    .map(|item| item.into_node(source))
                    .collect::<Result<_, _>>()?;
                span.end = items
                    .last()
                    .map_or(span.end, |last| last.span.end.max(span.end));
                node(span, Kind::Seq(items))
            }
            RawValue::Map(raw) => {
                let mut entries: Vec<(Spanned<String>, Node)> = Vec::with_capacity(raw.len());
                for (key, value) in raw {
                    entries.push((key.into_key(source)?, value.into_node(source)?));
                }
                span.end = entries
                    .last()
                    .map_or(span.end, |(_, v)| v.span.end.max(span.end));
                node(span, Kind::Map(entries))
            }
            scalar => scalar::resolve(scalar, self.tag.as_deref(), span, &source.text),
        })
    }

    /// Kubernetes turns scalar keys into strings, in their YAML 1.1 reading.
    fn into_key(self, source: &Arc<Source>) -> Result<Spanned<String>, Box<Diagnostic>> {
        let node = self.into_node(source)?;
        let value = match node.kind {
            Kind::Str(text) => text,
            Kind::Bool(value) => value.to_string(),
            Kind::Int(value) => value.to_string(),
            Kind::Float(value) => value.to_string(),
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => {
                return Err(Box::new(Diagnostic {
                    severity: Severity::Error,
                    source: Arc::clone(source),
                    span: Some(node.span),
                    path: String::new(),
                    message: format!(
                        "the key of a field must be a string, not {}",
                        node.kind_name()
                    ),
                    label: None,
                    help: Some("write `name: value`".to_owned()),
                }));
            }
        };
        Ok(Spanned {
            value,
            span: node.span,
        })
    }
}

/// A place of the library as ours.
pub(super) fn span_of(at: Location, text: &str) -> Span {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let start = number(at.span().byte_offset().unwrap_or(0)).min(text.len());
    let length = number(at.span().byte_len().unwrap_or(0));
    // The span of a plain scalar may take in the white space that follows it.
    let stretch = text
        .get(start..start.saturating_add(length).min(text.len()))
        .unwrap_or("");
    Span {
        start,
        end: start + stretch.trim_end().len(),
        line: number(at.line()),
        column: number(at.column()),
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<Tagged<RawValue>>::deserialize(deserializer)?;
        let Tagged(value, tag) = spanned.value;
        Ok(Self {
            at: spanned.defined,
            tag,
            value,
        })
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = RawValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }
            fn visit_unit<E>(self) -> Result<RawValue, E> {
                Ok(RawValue::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
                Ok(RawValue::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
                Ok(RawValue::Int(value))
            }
            #[allow(
                clippy::cast_precision_loss,
                reason = "as JSON readers do with large numbers"
            )]
            fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
                Ok(i64::try_from(value).map_or(RawValue::Float(value as f64), RawValue::Int))
            }
            fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
                Ok(RawValue::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
                Ok(RawValue::Str(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawValue, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(RawValue::Seq(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RawValue::Map(entries))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}
