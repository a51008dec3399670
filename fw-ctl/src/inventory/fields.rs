//! Fields of Kubernetes objects: what is unknown is ignored, what is known must
//! have the right type.

use std::net::IpAddr;
use std::sync::Arc;

use super::Labels;
use crate::diagnostic::{Diagnostic, Severity, Source, Span};
use crate::policy::yaml::{Kind, Node};

/// A value of a tree, with the path and the file for messages.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) source: &'a Arc<Source>,
}

pub(super) type Result<T> = std::result::Result<T, Box<Diagnostic>>;

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node, source: &'a Arc<Source>) -> Self {
        Self {
            node,
            path: String::new(),
            source,
        }
    }

    /// An error about this value.
    pub(super) fn error(&self, message: impl Into<String>) -> Box<Diagnostic> {
        self.error_at(self.node.span, message)
    }

    pub(super) fn error_at(&self, span: Span, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic {
            severity: Severity::Error,
            source: Arc::clone(self.source),
            span: Some(span),
            path: self.path.clone(),
            message: message.into(),
            label: None,
            help: None,
        })
    }

    fn wrong_type(&self, wanted: &str) -> Box<Diagnostic> {
        self.error(format!(
            "expected {wanted}, found {}",
            self.node.kind_name()
        ))
    }

    /// A field of this map; `None` if it is absent or null. This must be a map.
    pub(super) fn get(&self, key: &str) -> Result<Option<Self>> {
        if self.node.entries().is_none() {
            return Err(self.wrong_type("a map"));
        }
        Ok(self
            .node
            .get(key)
            .filter(|node| !node.is_null())
            .map(|node| self.child(key, node)))
    }

    /// The value at a way through maps; `None` if a step is absent or null.
    pub(super) fn at<const N: usize>(&self, way: [&str; N]) -> Result<Option<Self>> {
        let mut here = self.clone();
        for key in way {
            match here.get(key)? {
                Some(next) => here = next,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    pub(super) fn child(&self, key: &str, node: &'a Node) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            node,
            path: format!("{}{dot}{key}", self.path),
            source: self.source,
        }
    }

    /// The items of this list.
    pub(super) fn items(&self) -> Result<Vec<Self>> {
        let items = self.node.items().ok_or_else(|| self.wrong_type("a list"))?;
        Ok(items
            .iter()
            .enumerate()
            .map(|(i, node)| Self {
                node,
                path: format!("{}[{i}]", self.path),
                source: self.source,
            })
            .collect())
    }

    /// The items of a list that may be absent.
    pub(super) fn list<const N: usize>(&self, way: [&str; N]) -> Result<Vec<Self>> {
        self.at(way)?.map_or(Ok(Vec::new()), |list| list.items())
    }

    pub(super) fn str(&self) -> Result<&'a str> {
        self.node
            .as_str()
            .ok_or_else(|| self.wrong_type("a string"))
    }

    /// A text that may be absent.
    pub(super) fn text<const N: usize>(&self, way: [&str; N]) -> Result<Option<&'a str>> {
        self.at(way)?.map(|field| field.str()).transpose()
    }

    /// An address that may be absent or empty.
    pub(super) fn address<const N: usize>(&self, way: [&str; N]) -> Result<Option<IpAddr>> {
        let Some(field) = self.at(way)? else {
            return Ok(None);
        };
        let text = field.str()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| field.error(format!("`{text}` is no IP address")))
    }

    /// A map of texts that may be absent.
    pub(super) fn labels<const N: usize>(&self, way: [&str; N]) -> Result<Labels> {
        let Some(field) = self.at(way)? else {
            return Ok(Labels::new());
        };
        let Kind::Map(entries) = &field.node.kind else {
            return Err(field.wrong_type("a map"));
        };
        entries
            .iter()
            .map(|(key, value)| {
                let value = field.child(&key.value, value);
                Ok((key.value.clone(), value.str()?.to_owned()))
            })
            .collect()
    }

    /// Every field of this map must be one of `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        let Some(entries) = self.node.entries() else {
            return Err(self.wrong_type("a map"));
        };
        for (key, _) in entries {
            if !known.contains(&key.value.as_str()) {
                let mut error = self.error_at(key.span, format!("unknown field `{}`", key.value));
                let near = known
                    .iter()
                    .find(|known| strsim::damerau_levenshtein(known, &key.value) <= 2);
                error.help = Some(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", known.join(", ")),
                });
                return Err(error);
            }
        }
        Ok(())
    }
}
