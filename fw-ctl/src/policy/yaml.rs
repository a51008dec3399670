//! YAML and JSON texts as a tree of values that know where they were written.
//!
//! Why a tree, and not types that serde fills: a decoder over a tree can report
//! every mistake of a document at once, with its place, and can tell an absent
//! field from an empty one. Policies, the inventory and whatever else is written
//! as Kubernetes objects are read through this module, the only one that knows
//! which YAML library is used.
//!
//! The dialect is that of Kubernetes (`sigs.k8s.io/yaml`), which is YAML 1.1: see
//! the module `scalar`.

mod failure;
mod raw;
mod scalar;

use std::sync::Arc;

use self::raw::Raw;
use crate::diagnostic::{Diagnostic, Source, Span, Spanned};

/// How much a text may ask of us. What exceeds it is refused while reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Scalars, lists and maps, aliases counted as often as they are used.
    pub nodes: usize,
    /// Lists and maps inside each other.
    pub depth: usize,
    /// Documents in one text.
    pub documents: usize,
}

impl Limits {
    /// For what people write: policies and configuration.
    pub const WRITTEN: Self = Self {
        bytes: 1 << 20,
        nodes: 50_000,
        depth: 64,
        documents: 1_024,
    };
    /// For what machines write: `kubectl get nodes,pods -A -o yaml` of a large
    /// cluster has some kilobytes and some hundred nodes for each pod.
    pub const DUMPED: Self = Self {
        bytes: 128 << 20,
        nodes: 20_000_000,
        depth: 64,
        documents: 100_000,
    };
}

/// One value of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// From its first byte to the end of its last part. An alias or a merged
    /// value points at the text that defines it.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
    /// An unquoted scalar that YAML 1.1 (Kubernetes) and YAML 1.2 read
    /// differently, as `no`, `010` or `1_000`. `kind` is the reading of Kubernetes.
    pub ambiguous: bool,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `null`, `~`, or nothing at all.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Str(String),
    /// A list.
    Seq(Vec<Node>),
    /// A map, in the order written, without duplicate keys.
    Map(Vec<(Spanned<String>, Node)>),
}

/// Reads all documents of a text within [`Limits::WRITTEN`]. Empty documents are
/// left out.
///
/// # Errors
/// The first mistake: syntax, a duplicate key, a key that is no scalar, an
/// unknown tag, a limit.
pub fn parse(source: &Arc<Source>) -> Result<Vec<Node>, Box<Diagnostic>> {
    parse_within(source, &Limits::WRITTEN)
}

/// Like [`parse`], within limits of one's own.
///
/// # Errors
/// As for [`parse`].
pub fn parse_within(source: &Arc<Source>, limits: &Limits) -> Result<Vec<Node>, Box<Diagnostic>> {
    if source.text.len() > limits.bytes {
        return Err(failure::too_large(source, limits));
    }
    on_a_deep_stack(|| read_all(source, limits))
}

/// Runs `work` on a thread with room for [`Limits::depth`] levels: unoptimised,
/// the library takes up to 64 KiB of stack a level, more than the 2 MiB of a
/// worker thread allow.
fn on_a_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    /// Only the touched part of it becomes memory.
    const STACK: usize = 16 << 20;
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("yaml".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .expect("a thread can be started: the process could not work without")
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read_all(source: &Arc<Source>, limits: &Limits) -> Result<Vec<Node>, Box<Diagnostic>> {
    let strict = serde_saphyr::DuplicateKeyPolicy::Error;
    let raw = read(&source.text, limits, strict).map_err(|error| {
        let first_key = failure::duplicate_key(&error, &source.text).and_then(|(key, second)| {
            let lenient = serde_saphyr::DuplicateKeyPolicy::FirstWins;
            let documents = read(&source.text, limits, lenient).ok()?;
            first_occurrence(&documents, source, &key, second)
        });
        failure::diagnostic(source, limits, &error, first_key)
    })?;
    raw.into_iter().map(|raw| raw.into_node(source)).collect()
}

fn read(
    text: &str,
    limits: &Limits,
    duplicate_keys: serde_saphyr::DuplicateKeyPolicy,
) -> Result<Vec<Raw>, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits.depth,
            flow_nesting_limit: limits.depth.saturating_add(1),
            max_nodes: limits.nodes,
            max_events: limits.nodes.saturating_mul(2),
            max_documents: limits.documents,
            max_total_scalar_bytes: limits.bytes,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_recorded_anchor_events: limits.nodes,
            max_recorded_anchor_bytes: limits.bytes,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.nodes.min(Limits::WRITTEN.nodes),
            max_replay_stack_depth: 16,
        },
        duplicate_keys: duplicate_keys,
        reject_unsupported_tags: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options)
}

/// Finds the place and the path of the first `key` that the one at `second`
/// repeats: in a block map it stands in the same column, and nearest above.
/// In a map written in braces the columns differ: then it is not looked for.
fn first_occurrence(
    documents: &[Raw],
    source: &Arc<Source>,
    key: &str,
    second: Span,
) -> Option<(Span, String)> {
    let mut best: Option<(Span, String)> = None;
    for document in documents {
        if let Ok(node) = document.clone().into_node(source) {
            node.walk(&mut String::new(), &mut |path, found| {
                let nearer = best
                    .as_ref()
                    .is_none_or(|(b, _)| b.start < found.span.start);
                if found.value == key
                    && found.span.column == second.column
                    && found.span.start < second.start
                    && nearer
                {
                    best = Some((found.span, path.to_owned()));
                }
            });
        }
    }
    best
}

impl Node {
    /// The value of a field of a map; `None` if it is absent or this is no map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?
            .iter()
            .find(|(k, _)| k.value == key)
            .map(|(_, v)| v)
    }

    /// The entries, if this is a map.
    #[must_use]
    pub fn entries(&self) -> Option<&[(Spanned<String>, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if this is a list.
    #[must_use]
    pub fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The whole number, if this is one; `80.0` is one, as in JSON.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        /// Beyond it a float does not hold every whole number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self.kind {
            Kind::Int(value) => Some(value),
            #[allow(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            Kind::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => {
                Some(value as i64)
            }
            _ => None,
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// What it is, for messages: `a list`, `a number`.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Str(_) => "a string",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Calls `visit` with the path (`spec.ingress[0].toPorts`) of every key.
    fn walk(&self, path: &mut String, visit: &mut impl FnMut(&str, &Spanned<String>)) {
        let length = path.len();
        match &self.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(&key.value);
                    visit(path, key);
                    value.walk(path, visit);
                    path.truncate(length);
                }
            }
            Kind::Seq(items) => {
                for (i, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{i}]"));
                    item.walk(path, visit);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
