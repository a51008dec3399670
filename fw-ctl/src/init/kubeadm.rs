//! What kubeadm has left on a node: manifests of the control plane, flags of the kubelet.

use std::sync::Arc;

use super::found::{Node, calico, fact};
use super::place::Root;
use crate::diagnostic::Source;
use crate::policy::yaml;
use crate::texts;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const KUBELET: &str = "/var/lib/kubelet/kubeadm-flags.env";
/// kubeadm sets it with an empty value.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// A node of a cluster that kubeadm made.
pub(super) fn find(root: &Root) -> Node {
    let mut node = Node::default();
    let api_server = format!("{MANIFESTS}/kube-apiserver.yaml");
    if root.join(&api_server).exists() {
        node.api_server = true;
        let label = fact(String::new(), &format!("{api_server} is there"));
        node.labels.insert(CONTROL_PLANE.to_owned(), label);
    } else {
        node.notes.push(format!(
            "there is no {api_server}: this node is taken for a worker"
        ));
    }
    for word in flags(root) {
        if let Some(name) = word.strip_prefix("--hostname-override=") {
            node.name = Some(fact(name.to_owned(), KUBELET));
        }
        if let Some(labels) = word.strip_prefix("--node-labels=") {
            for (key, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
                node.labels
                    .insert(key.to_owned(), fact(value.to_owned(), KUBELET));
            }
        }
    }
    let manager = format!("{MANIFESTS}/kube-controller-manager.yaml");
    let networks = command(root, &manager, "--cluster-cidr=");
    for network in networks.split(',').filter_map(|text| text.parse().ok()) {
        node.pods.push(fact(network, &manager));
    }
    node.calico = calico(root, &["/etc/cni/net.d"]);
    node
}

/// The words of `KUBELET_KUBEADM_ARGS="--a=b --c=d"`.
fn flags(root: &Root) -> Vec<String> {
    let text = texts::read_to_string(&root.join(KUBELET)).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let words = lines.flat_map(|(_, value)| value.trim_matches('"').split_whitespace());
    words.map(str::to_owned).collect()
}

/// What a flag of the first container of a manifest says; nothing where there is none.
fn command(root: &Root, manifest: &str, flag: &str) -> String {
    let find = || {
        let text = texts::read_to_string(&root.join(manifest)).ok()?;
        let source = Arc::new(Source {
            name: manifest.to_owned(),
            text,
        });
        let documents = yaml::parse(&source).ok()?;
        let container = documents.first()?.get("spec")?.get("containers")?;
        let words = container.items()?.first()?.get("command")?.items()?;
        let mut words = words.iter().filter_map(yaml::Node::as_str);
        words.find_map(|word| word.strip_prefix(flag).map(str::to_owned))
    };
    find().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::root as files;
    use super::*;

    #[test]
    fn the_control_plane_is_known_by_its_manifest() {
        let root = files(&[
            ("etc/kubernetes/manifests/kube-apiserver.yaml", ""),
            (
                "etc/kubernetes/manifests/kube-controller-manager.yaml",
                "spec:\n  containers:\n  - command:\n    - kube-controller-manager\n    \
                 - --cluster-cidr=10.244.0.0/16,fd44::/56\n",
            ),
            (
                "var/lib/kubelet/kubeadm-flags.env",
                "KUBELET_KUBEADM_ARGS=\"--hostname-override=cp1 --node-labels=rack=r1,zone=b\"\n",
            ),
            ("etc/cni/net.d/10-calico.conflist", ""),
        ]);
        let node = find(&Root::new(root.path()));
        assert!(node.api_server);
        let labels = node.labels.iter();
        let labels: Vec<_> = labels
            .map(|(key, one)| format!("{key}={}", one.value))
            .collect();
        let expected = [
            "node-role.kubernetes.io/control-plane=",
            "rack=r1",
            "zone=b",
        ];
        assert_eq!(labels, expected);
        assert_eq!(node.name.unwrap().value, "cp1");
        let pods: Vec<_> = node.pods.iter().map(|one| one.value.to_string()).collect();
        assert_eq!(pods, ["10.244.0.0/16", "fd44::/56"]);
        assert_eq!(node.calico.unwrap(), "/etc/cni/net.d/10-calico.conflist");
    }

    #[test]
    fn a_worker_has_no_role() {
        let root = files(&[("etc/cni/net.d/05-cilium.conflist", "")]);
        let node = find(&Root::new(root.path()));
        assert!(!node.api_server && node.labels.is_empty() && node.pods.is_empty());
        assert_eq!(node.calico, None);
        assert!(
            node.notes[0].ends_with("taken for a worker"),
            "{:?}",
            node.notes
        );
    }
}
