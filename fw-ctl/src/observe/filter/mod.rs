//! Which flows somebody wants to see, as Hubble's `FlowFilter` (Cilium `api/v1/flow/flow.proto`,
//! `pkg/hubble/filters`): every kind of condition of a filter must hold, and of one kind any
//! value; a flow is told if one filter matches it, and none of those that deny.

mod kind;
mod labels;
mod protocol;

use fw_common::wire::DropReason;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use kind::Kind;
pub use labels::Labels;
pub use protocol::protocols;

use super::{Endpoint, Flow, Record, Told};
use crate::glob::glob_match;
use crate::policy::label::{CLUSTER, Label, LabelSet, NAMESPACE};

/// TCP's number.
const TCP: u8 = 6;

/// A filter; empty conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Of the sender.
    #[serde(skip_serializing_if = "is_default")]
    pub source: Side,
    /// Of the receiver.
    #[serde(skip_serializing_if = "is_default")]
    pub destination: Side,
    /// What became of the packet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdict: Vec<Told>,
    /// Which messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub message: Vec<Kind>,
    /// Cilium's numbers of reasons for a drop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<u8>,
    /// IP protocol numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocol: Vec<u8>,
    /// TCP flags: all bits of one of them are set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp_flags: Vec<u8>,
    /// Patterns of `cluster/node`, or of the node alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node: Vec<String>,
    /// Selectors of labels of the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_label: Vec<Labels>,
    /// Towards the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<bool>,
    /// Replies; of what was not allowed nobody knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reply: Vec<bool>,
    /// 4 or 6.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub family: Vec<u8>,
    /// Interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interface: Vec<Interface>,
    /// Outermost VLAN ids, 0 for untagged packets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlan: Vec<u16>,
    /// Patterns of names of the policy that decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<String>,
    /// Flows by [`Flow::uuid`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uuid: Vec<String>,
    /// A condition that holds for nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub never: bool,
}

/// An interface: all that is given must be so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Interface {
    /// Pattern of its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
}

impl Interface {
    fn is(&self, record: &Record) -> bool {
        let name = self.name.as_ref();
        name.is_none_or(|pattern| glob_match(pattern, &record.interface))
            && self.index.is_none_or(|index| index == record.ifindex)
    }
}

/// Conditions on one side of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Side {
    /// Addresses and prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<IpNet>,
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port: Vec<u16>,
    /// Numbers of identities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<u32>,
    /// Selectors of labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<Labels>,
    /// Namespaces of pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespace: Vec<String>,
    /// Pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pod: Vec<Pod>,
    /// Clusters of pods and nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster: Vec<String>,
}

/// Pods of a namespace, by how their names begin; empty: any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pod {
    /// The namespace.
    pub namespace: String,
    /// The beginning of the name.
    pub name: String,
}

impl Pod {
    /// `shop/web-`, `shop/`, `/web-`, and of the namespace `default`: `web-` (Cilium
    /// `pkg/hubble/k8s`, `ParseNamespaceName`). `None` for one of which nothing is said.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        let is_said = !text.is_empty() && text != "/";
        is_said.then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    fn is(&self, side: &Endpoint) -> bool {
        let namespace = side.namespace();
        !namespace.is_empty()
            && (self.namespace.is_empty() || self.namespace == namespace)
            && side.pod.starts_with(&self.name)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is told, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filters {
    /// One of these matches; where there is none, everything does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Filter>,
    /// None of these does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Filter>,
}

impl Filters {
    /// Whether a flow is told.
    #[must_use]
    pub fn tell(&self, flow: &Flow) -> bool {
        let any = |filters: &[Filter]| filters.iter().any(|filter| filter.matches(flow));
        (self.allow.is_empty() || any(&self.allow)) && !any(&self.deny)
    }
}

/// Whether one of the conditions holds, or there is none.
fn holds<T>(conditions: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    conditions.is_empty() || conditions.iter().any(holds)
}

impl Filter {
    /// Whether every kind of condition holds.
    #[must_use]
    pub fn matches(&self, flow: &Flow) -> bool {
        let record = &*flow.record;
        let is_read = record.family != 0;
        !self.never
            && holds(&self.uuid, |uuid| *uuid == flow.uuid())
            && holds(&self.verdict, |told| *told == record.told)
            && holds(&self.message, |kind| kind.is(flow))
            && holds(&self.reason, |number| {
                record.drop_reason().map(DropReason::number) == Some(*number)
                    && record.told == Told::Deny
            })
            && holds(&self.protocol, |protocol| {
                is_read && *protocol == record.protocol
            })
            && holds(&self.tcp_flags, |flags| {
                is_read && record.protocol == TCP && record.tcp_flags & flags == *flags
            })
            && holds(&self.node, |pattern| names_node(pattern, &record.node))
            && (self.node_label.is_empty() || {
                // Without a source, as in the labels of an object of Kubernetes.
                let labels = record.node_labels.iter();
                let labels: LabelSet = labels.map(|label| Label::parse(label)).collect();
                self.node_label
                    .iter()
                    .any(|selector| selector.0.matches(&labels))
            })
            && holds(&self.ingress, |ingress| *ingress == record.ingress)
            && holds(&self.reply, |reply| record.is_reply() == Some(*reply))
            && holds(&self.family, |family| *family == record.family)
            && holds(&self.interface, |pattern| pattern.is(record))
            && holds(&self.vlan, |vlan| *vlan == record.vlan)
            && holds(&self.policy, |pattern| {
                let policy = record.decided_by();
                policy.is_some_and(|policy| glob_match(pattern, policy))
            })
            && self.source.matches(&record.source, is_read)
            && self.destination.matches(&record.destination, is_read)
    }
}

impl Side {
    /// `is_read`: the packet could be parsed that far.
    fn matches(&self, side: &Endpoint, is_read: bool) -> bool {
        holds(&self.address, |net| is_read && net.contains(&side.address))
            && holds(&self.port, |port| is_read && *port == side.port)
            && holds(&self.identity, |number| *number == side.identity.number)
            && (self.label.is_empty() || {
                let labels = side.identity.labels.iter();
                let labels: LabelSet = labels.map(|label| Label::parse(label)).collect();
                self.label
                    .iter()
                    .any(|selector| selector.0.matches(&labels))
            })
            && holds(&self.namespace, |name| side.namespace() == name)
            && holds(&self.pod, |pod| pod.is(side))
            && holds(&self.cluster, |name| side.label(CLUSTER) == name)
    }
}

/// `cluster/node` by its patterns; without a `/` the pattern is one of the node in any
/// cluster, and `cluster/` means all nodes there.
fn names_node(pattern: &str, name: &str) -> bool {
    let (cluster, node) = name.split_once('/').unwrap_or(("", name));
    match pattern.split_once('/') {
        None => glob_match(pattern, node),
        Some((of_cluster, "")) => glob_match(of_cluster, cluster),
        Some(("", of_node)) => glob_match(of_node, node),
        Some((of_cluster, of_node)) => glob_match(of_cluster, cluster) && glob_match(of_node, node),
    }
}

impl Endpoint {
    /// Namespace of the pod, if it is one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.label(NAMESPACE)
    }

    /// The value of a label of Kubernetes, empty where there is none.
    #[must_use]
    pub fn label(&self, key: &str) -> &str {
        self.identity.label(key).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
