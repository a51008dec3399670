//! Whom a selector means: matching, the scope that Cilium adds, and entities.
//!
//! Sources: Cilium `pkg/policy/api/{selector,entity}.go` and
//! `pkg/k8s/apis/cilium.io/utils/utils.go` (`getEndpointSelector`).

use std::fmt;

use super::label::{ANY, CLUSTER, K8S, LabelKey, LabelSet, NAMESPACE, RESERVED};
use super::schema::{Entity, LabelSelector, Operator, Requirement};
use crate::diagnostic::Span;

impl LabelSelector {
    /// Whether an identity satisfies every requirement. `NotIn` and
    /// `DoesNotExist` hold where the key is absent.
    #[must_use]
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(labels))
    }

    /// `fromEndpoints`/`toEndpoints` of a clusterwide policy: pods of this
    /// cluster, unless a `reserved:` key, a namespace or a cluster is named.
    #[must_use]
    pub fn scoped_to_pods(&self, cluster: &str) -> Self {
        let mut scoped = self.clone();
        if self
            .requirements
            .iter()
            .any(|requirement| requirement.key.source == RESERVED)
        {
            return scoped;
        }
        if !self.names(NAMESPACE) {
            scoped.require(K8S, NAMESPACE, Operator::Exists);
        }
        scoped.require_cluster(cluster);
        scoped
    }

    /// `fromNodes`/`toNodes`: remote nodes of this cluster, unless a cluster is named.
    #[must_use]
    pub fn scoped_to_nodes(&self, cluster: &str) -> Self {
        let mut scoped = self.clone();
        scoped.require(RESERVED, "remote-node", Operator::Exists);
        scoped.require_cluster(cluster);
        scoped
    }

    /// The same without places, so that equal selectors are equal values.
    #[must_use]
    pub fn without_spans(mut self) -> Self {
        self.span = Span::default();
        for requirement in &mut self.requirements {
            requirement.span = Span::default();
        }
        self
    }

    /// Whether a requirement is about this Kubernetes key.
    fn names(&self, key: &str) -> bool {
        self.requirements.iter().any(|requirement| {
            requirement.key.key == key && [K8S, ANY].contains(&requirement.key.source.as_str())
        })
    }

    fn require(&mut self, source: &str, key: &str, operator: Operator) {
        self.requirements.push(Requirement {
            key: LabelKey::new(source, key),
            operator,
            span: self.span,
        });
    }

    fn require_cluster(&mut self, cluster: &str) {
        if !self.names(CLUSTER) {
            self.require(K8S, CLUSTER, Operator::In(vec![cluster.to_owned()]));
        }
    }
}

impl Requirement {
    /// Whether an identity satisfies it.
    #[must_use]
    pub fn matches(&self, labels: &LabelSet) -> bool {
        let mut selected = labels.selected(&self.key);
        match &self.operator {
            Operator::In(values) => selected.any(|label| values.contains(&label.value)),
            Operator::NotIn(values) => !selected.any(|label| values.contains(&label.value)),
            Operator::Exists => selected.next().is_some(),
            Operator::DoesNotExist => selected.next().is_none(),
        }
    }
}

/// `role=cp, rack in (a, b), !spare`, as kubectl writes selectors.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(", ")),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(", ")),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

impl Entity {
    /// The selectors that an entity stands for: it matches if one of them does.
    /// `all` is the selector without requirements, `none` no selector.
    #[must_use]
    pub fn selectors(self, cluster: &str) -> Vec<LabelSelector> {
        let reserved = |keys: &[&str]| -> Vec<LabelSelector> {
            keys.iter()
                .map(|key| selector(RESERVED, key, Operator::Exists))
                .collect()
        };
        let members = [
            "host",
            "remote-node",
            "init",
            "ingress",
            "health",
            "unmanaged",
            "kube-apiserver",
        ];
        match self {
            Self::All => vec![LabelSelector::default()],
            Self::World => reserved(&["world", "world-ipv4", "world-ipv6"]),
            Self::WorldIpv4 => reserved(&["world-ipv4"]),
            Self::WorldIpv6 => reserved(&["world-ipv6"]),
            Self::Cluster => {
                let mut all = reserved(&members);
                let here = Operator::In(vec![cluster.to_owned()]);
                all.push(selector(K8S, CLUSTER, here));
                all
            }
            Self::ClusterMesh => {
                let mut all = reserved(&members);
                all.push(selector(K8S, CLUSTER, Operator::Exists));
                all
            }
            Self::Host => reserved(&["host"]),
            Self::Init => reserved(&["init"]),
            Self::Ingress => reserved(&["ingress"]),
            Self::Unmanaged => reserved(&["unmanaged"]),
            Self::RemoteNode => reserved(&["remote-node"]),
            Self::Health => reserved(&["health"]),
            Self::KubeApiserver => reserved(&["kube-apiserver"]),
            Self::None => Vec::new(),
        }
    }
}

/// A selector with one requirement.
fn selector(source: &str, key: &str, operator: Operator) -> LabelSelector {
    let mut selector = LabelSelector::default();
    selector.require(source, key, operator);
    selector
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::label::Label;

    fn labels(texts: &[&str]) -> LabelSet {
        texts.iter().map(|text| Label::parse(text)).collect()
    }

    fn written(key: &str, operator: Operator) -> LabelSelector {
        let key = LabelKey::parse(key);
        selector(&key.source, &key.key, operator)
    }

    #[test]
    fn the_negative_operators_hold_for_an_absent_key() {
        let x = || vec!["x".to_owned()];
        let set = labels(&["k8s:app=x"]);
        assert!(written("app", Operator::In(x())).matches(&set));
        assert!(!written("app", Operator::NotIn(x())).matches(&set));
        assert!(written("other", Operator::NotIn(x())).matches(&set));
        assert!(written("other", Operator::DoesNotExist).matches(&set));
        assert!(!written("app", Operator::DoesNotExist).matches(&set));
        assert!(!written("node:app", Operator::Exists).matches(&set));
    }

    #[test]
    fn an_empty_endpoint_selector_means_the_pods_of_this_cluster() {
        let everyone = LabelSelector::default().scoped_to_pods("c");
        let pod = [
            "k8s:io.kubernetes.pod.namespace=n",
            "k8s:io.cilium.k8s.policy.cluster=c",
        ];
        assert!(everyone.matches(&labels(&pod)));
        assert!(!everyone.matches(&labels(&[pod[0], "k8s:io.cilium.k8s.policy.cluster=d"])));
        assert!(!everyone.matches(&labels(&["reserved:remote-node", pod[1]])));
        assert!(!everyone.matches(&labels(&["reserved:world-ipv4"])));
    }

    #[test]
    fn a_reserved_key_or_a_named_cluster_keeps_its_scope() {
        let health = written("reserved:health", Operator::Exists);
        assert_eq!(health.scoped_to_pods("c"), health);
        let other = written(CLUSTER, Operator::In(vec!["d".into()])).scoped_to_nodes("c");
        assert!(other.matches(&labels(&[
            "reserved:remote-node",
            "k8s:io.cilium.k8s.policy.cluster=d"
        ])));
    }

    #[test]
    fn cluster_has_the_external_api_server_and_world_too() {
        let external = labels(&["reserved:kube-apiserver", "reserved:world-ipv4"]);
        let any =
            |entity: Entity, set: &LabelSet| entity.selectors("c").iter().any(|s| s.matches(set));
        assert!(any(Entity::Cluster, &external) && any(Entity::World, &external));
        assert!(!any(Entity::World, &labels(&["reserved:remote-node"])));
        assert!(any(Entity::All, &labels(&[])) && !any(Entity::None, &external));
    }
}
