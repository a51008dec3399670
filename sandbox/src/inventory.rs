//! The lab as a cluster of RKE2: who the machines are, in the words of Kubernetes.

use crate::Lab;

/// Name of the node under test in the inventory.
pub const NODE: &str = "server1";

/// Both nodes as servers of RKE2, their addresses as those of the API servers, and
/// the jump host's networks as the `CiliumCIDRGroup` `admin-networks`. The stranger
/// is not in it, which makes it `world`.
#[must_use]
pub fn rke2(lab: &Lab) -> String {
    let (node, node2) = (&lab.node, &lab.node2);
    let mut text = String::new();
    for (name, host) in [(NODE, node), ("server2", node2)] {
        text += &format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels:\n    \
             node.kubernetes.io/instance-type: rke2\n    \
             node-role.kubernetes.io/control-plane: \"true\"\n    \
             node-role.kubernetes.io/etcd: \"true\"\n    \
             node-role.kubernetes.io/master: \"true\"\n\
             status:\n  addresses:\n  \
             - {{type: InternalIP, address: \"{}\"}}\n  \
             - {{type: InternalIP, address: \"{}\"}}\n---\n",
            host.v4.0, host.v6.0,
        );
    }
    let slices = [
        (
            "kubernetes",
            "IPv4",
            node.v4.0.to_string(),
            node2.v4.0.to_string(),
        ),
        (
            "kubernetes-v6",
            "IPv6",
            node.v6.0.to_string(),
            node2.v6.0.to_string(),
        ),
    ];
    for (name, kind, one, two) in slices {
        text += &format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}\n  \
             namespace: default\n  labels:\n    kubernetes.io/service-name: kubernetes\n\
             addressType: {kind}\nendpoints:\n- addresses: [\"{one}\"]\n- addresses: [\"{two}\"]\n\
             ports:\n- {{name: https, port: 6443, protocol: TCP}}\n---\n",
        );
    }
    text += &format!(
        "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata:\n  name: admin-networks\n\
         spec:\n  externalCIDRs: [\"{}/{}\", \"{}/{}\"]\n",
        lab.jump.v4.0, lab.jump.v4.1, lab.jump.v6.0, lab.jump.v6.1,
    );
    text
}
