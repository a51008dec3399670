//! The text, letter by letter.

use super::*;

const NARROW: &str = r#"apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: suggested
spec:
  # the nodes that rke2-egress (egress.yaml:17) selects, which denies it
  nodeSelector: {}
  # it only adds: it denies nothing by itself
  enableDefaultDeny:
    egress: false
  egress:
  # row 514/UDP syslog
  - toCIDR:
    - "198.51.100.9/32"
    toPorts:
    - ports:
      - port: "514"
        protocol: UDP
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: suggested-2
spec:
  # the nodes that rke2-etcd (etcd.yaml:21) selects, which denies it
  nodeSelector:
    matchLabels:
      node-role.kubernetes.io/etcd: "true"
  # it only adds: it denies nothing by itself
  enableDefaultDeny:
    ingress: false
  ingress:
  # row 9102/TCP
  # row 9100/TCP
  # row 9101/TCP
  # the same by other addresses: 2001:db8:0:10::21 (node agent1)
  - fromNodes:
    - matchLabels:
        kubernetes.io/hostname: agent1
    toPorts:
    - ports:
      - port: "9100"
        endPort: 9102
        protocol: TCP
  # row 2222/TCP
  # row 2222/TCP
  - fromCIDR:
    - "198.51.100.6/31"
    toPorts:
    - ports:
      - port: "2222"
        protocol: TCP
  # row ICMPv6 DestinationUnreachable
  - fromCIDR:
    - "2001:db8:7::7/128"
    icmps:
    - fields:
      - family: IPv6
        type: 1 # DestinationUnreachable"#;

#[test]
fn each_peer_is_named_as_narrowly_as_can_be() {
    let node = Node::shipped("rke2");
    let entries = [
        entry(Ingress, "10.0.0.21", 6, 9100),
        entry(Ingress, "10.0.0.21", 6, 9101),
        entry(Ingress, "10.0.0.21", 6, 9102),
        entry(Ingress, "198.51.100.6", 6, 2222),
        entry(Ingress, "198.51.100.7", 6, 2222),
        entry(Ingress, "2001:db8:7::7", 58, 1),
        entry(Egress, "198.51.100.9", 17, 514),
    ];
    let text = node.suggest(&entries, By::Auto);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/policies/rke2/");
    let text = text.replace(&root.display().to_string(), "");
    assert_eq!(text, NARROW);
}
