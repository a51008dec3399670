//! Labels and their sources, as Cilium writes them: `source:key=value`.
//! Source of the grammar: Cilium `pkg/labels/labels.go`.

use std::fmt;

/// One label of an identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// `k8s`, `reserved`, `node`, `cidr`, `cidrgroup`, `unspec`, …
    pub source: String,
    /// The key without its source.
    pub key: String,
    /// The value, empty where there is none.
    pub value: String,
}

/// The key of a requirement. The source `any` matches every source except the
/// bookkeeping ones (`reserved`, `cidr`, …).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelKey {
    /// The source that was written, or `any`.
    pub source: String,
    /// The key without its source.
    pub key: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}:{}", self.source, self.key)
        } else {
            write!(f, "{}:{}={}", self.source, self.key, self.value)
        }
    }
}
