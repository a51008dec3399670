//! The labels that Cilium gives to nodes and pods (`pkg/labels`, `pkg/k8s`).

use std::net::IpAddr;

use super::{Labels, Pod};
use crate::policy::label::{
    CLUSTER, K8S, Label, LabelSet, NAMESPACE, NAMESPACE_LABELS, NODE, SERVICE_ACCOUNT,
};

/// The node under protection, as the subject of policies.
pub(super) fn subject(labels: &Labels) -> LabelSet {
    labels
        .iter()
        .map(|(key, value)| Label::new(K8S, key, value))
        .chain([Label::reserved("host")])
        .collect()
}

/// Another node, as a peer. Its own labels have the source `node`.
pub(super) fn remote_node(labels: &Labels, cluster: &str) -> LabelSet {
    labels
        .iter()
        .map(|(key, value)| Label::new(NODE, key, value))
        .chain([
            Label::reserved("remote-node"),
            Label::new(K8S, CLUSTER, cluster),
        ])
        .collect()
}

/// A pod, as a peer.
pub(super) fn pod(pod: &Pod, namespace: Option<&Labels>, cluster: &str) -> LabelSet {
    let own = pod
        .labels
        .iter()
        .map(|(key, value)| Label::new(K8S, key, value));
    let of_namespace = namespace
        .into_iter()
        .flatten()
        .map(|(key, value)| Label::new(K8S, format!("{NAMESPACE_LABELS}{key}"), value));
    own.chain(of_namespace)
        .chain([
            Label::new(K8S, NAMESPACE, &pod.namespace),
            Label::new(K8S, SERVICE_ACCOUNT, &pod.service_account),
            Label::new(K8S, CLUSTER, cluster),
        ])
        .collect()
}

/// An API server outside the cluster: still world, so that CIDR rules match it.
pub(super) fn external_api_server(address: IpAddr) -> LabelSet {
    let world = if address.is_ipv4() {
        "world-ipv4"
    } else {
        "world-ipv6"
    };
    [
        Label::reserved("kube-apiserver"),
        Label::reserved(world),
        Label::new("cidr", ipnet::IpNet::from(address).to_string(), ""),
    ]
    .into_iter()
    .collect()
}
