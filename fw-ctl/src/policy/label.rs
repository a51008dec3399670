//! Labels and their sources, as Cilium writes them: `source:key=value`.
//! Source of the grammar: Cilium `pkg/labels/labels.go`.

use std::fmt;

/// Source of the labels that Cilium itself gives (`reserved:host`, `reserved:world-ipv4`, …).
pub const RESERVED: &str = "reserved";
/// Source of the labels that come from Kubernetes objects.
pub const K8S: &str = "k8s";
/// Source of a remote node's own labels.
pub const NODE: &str = "node";
/// Source in a requirement that names none.
pub const ANY: &str = "any";
/// Namespace of a pod.
pub const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Prefix of the labels of a pod's namespace.
pub const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// Cluster of a pod or node.
pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// Service account of a pod.
pub const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";

/// Source of a label that names none.
const UNSPEC: &str = "unspec";
/// Sources that `any` does not match: what Cilium keeps for itself.
const BOOKKEEPING: [&str; 4] = [RESERVED, "cidr", "cidrgroup", "fqdn"];

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

impl Label {
    /// A label from its parts.
    #[must_use]
    pub fn new(
        source: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self {
            source: source.into(),
            key: key.into(),
            value: value.into(),
        }
    }

    /// `reserved:KEY`.
    #[must_use]
    pub fn reserved(key: &str) -> Self {
        Self::new(RESERVED, key, "")
    }

    /// Reads `source:key=value`. Without a source it is `unspec`; `$host` is
    /// short for `reserved:host`. Everything behind the first `=` is the value.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (written, value) = text.split_once('=').unwrap_or((text, ""));
        let (source, key) = split_source(written);
        Self::new(source.unwrap_or(UNSPEC), key, value)
    }
}

impl LabelKey {
    /// A key from its parts.
    #[must_use]
    pub fn new(source: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            key: key.into(),
        }
    }

    /// Reads the key of a selector: `source:key`; without a source it is `any`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (source, key) = split_source(text);
        Self::new(source.unwrap_or(ANY), key)
    }

    /// Whether a label of this source and key is meant.
    #[must_use]
    pub fn selects(&self, label: &Label) -> bool {
        self.key == label.key
            && (self.source == label.source
                || (self.source == ANY && !BOOKKEEPING.contains(&label.source.as_str())))
    }
}

/// Takes the source off; `None` where none, or an empty one, is written.
fn split_source(text: &str) -> (Option<&str>, &str) {
    if let Some(key) = text.strip_prefix('$') {
        return (Some(RESERVED), key);
    }
    match text.split_once(':') {
        Some(("", key)) => (None, key),
        Some((source, key)) => (Some(source), key),
        None => (None, text),
    }
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

impl fmt::Display for LabelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source == ANY {
            f.write_str(&self.key)
        } else {
            write!(f, "{}:{}", self.source, self.key)
        }
    }
}

/// The labels of one identity: sorted, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Vec<Label>);

impl LabelSet {
    /// The labels, sorted by source, key and value.
    #[must_use]
    pub fn as_slice(&self) -> &[Label] {
        &self.0
    }

    /// Adds one label.
    pub fn insert(&mut self, label: Label) {
        if let Err(at) = self.0.binary_search(&label) {
            self.0.insert(at, label);
        }
    }

    /// The labels that a key selects.
    pub fn selected<'a>(&'a self, key: &'a LabelKey) -> impl Iterator<Item = &'a Label> {
        self.0.iter().filter(|label| key.selects(label))
    }

    /// Whether it holds `reserved:KEY`.
    #[must_use]
    pub fn is_reserved(&self, key: &str) -> bool {
        self.0
            .iter()
            .any(|label| label.source == RESERVED && label.key == key)
    }

    /// The node itself.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.is_reserved("host")
    }

    /// Another node of the cluster.
    #[must_use]
    pub fn is_remote_node(&self) -> bool {
        self.is_reserved("remote-node")
    }

    /// Outside the cluster: the only identities that CIDR rules match.
    #[must_use]
    pub fn is_world(&self) -> bool {
        ["world", "world-ipv4", "world-ipv6"]
            .iter()
            .any(|key| self.is_reserved(key))
    }
}

impl FromIterator<Label> for LabelSet {
    fn from_iter<T: IntoIterator<Item = Label>>(labels: T) -> Self {
        let mut labels: Vec<Label> = labels.into_iter().collect();
        labels.sort_unstable();
        labels.dedup();
        Self(labels)
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, label) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{label}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_in_cilium() {
        for (text, source, key, value) in [
            ("a", "unspec", "a", ""),
            ("a=b=c", "unspec", "a", "b=c"),
            (":a=b", "unspec", "a", "b"),
            ("k8s:a=", "k8s", "a", ""),
            ("$host", "reserved", "host", ""),
            ("cidr:10.0.0.0/8", "cidr", "10.0.0.0/8", ""),
            ("a=b:c", "unspec", "a", "b:c"),
        ] {
            assert_eq!(Label::parse(text), Label::new(source, key, value), "{text}");
        }
    }

    #[test]
    fn any_leaves_the_bookkeeping_sources_alone() {
        let host = LabelKey::parse("host");
        assert!(host.selects(&Label::new("node", "host", "")));
        assert!(host.selects(&Label::new("k8s", "host", "x")));
        assert!(!host.selects(&Label::reserved("host")));
        assert!(LabelKey::parse("reserved:host").selects(&Label::reserved("host")));
    }

    #[test]
    fn a_set_is_sorted_and_has_no_doubles() {
        let mut set: LabelSet = ["k8s:b", "k8s:a", "k8s:b"]
            .map(Label::parse)
            .into_iter()
            .collect();
        set.insert(Label::reserved("host"));
        set.insert(Label::reserved("host"));
        assert_eq!(set.to_string(), "k8s:a,k8s:b,reserved:host");
        assert!(set.is_host() && !set.is_world());
    }
}
