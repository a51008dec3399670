//! The inventory: this node, its administrators and pods, and where others are to stand.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::Wish;
use super::found::Found;
use crate::policy::label::CLUSTER;
use crate::printable::printable;
use crate::suggest::scalar;

/// The cluster that [`crate::config::Policy::cluster_name`] names by default.
const CLUSTER_NAME: &str = "default";

/// What a cluster knows itself, and how to have it.
const OTHERS: &str = "\
# Only what is in the inventory is part of the cluster: nodes that are not there are
# strangers. Have all of them from the cluster, in a file beside this one,
#
#   kubectl get nodes,namespaces,pods,endpointslices,ciliumcidrgroups -A -o yaml
#
# or write them here:
#
# ---
# apiVersion: v1
# kind: Node
# metadata:
#   name: node2
#   labels:
#     kubernetes.io/hostname: node2
# status:
#   addresses:
#   - {type: InternalIP, address: 10.0.0.11}
";

/// Further API servers.
const API_SERVERS: &str = "\
# The addresses of the API servers: the entity kube-apiserver. Add those of the other
# servers, which may talk to etcd then.
";

const PODS: &str = "\
# Pods: part of the cluster by their network. What the inventory says of a single pod, as
# its labels, wins over this.
";

/// The text of the inventory.
pub(super) fn text(wish: &Wish, found: &Found) -> String {
    let mut text = format!(
        "# Who is who, as `fw-ctl init --profile {}` has found it. Make it yours.\n",
        wish.profile.name()
    );
    let kubernetes = wish.profile.is_kubernetes();
    node(&mut text, found, kubernetes);
    if kubernetes {
        text.push_str(OTHERS);
    }
    if found.api_server && !found.addresses.is_empty() {
        api_servers(&mut text, found);
    }
    admin(&mut text, found);
    pods(&mut text, found, kubernetes);
    text
}

fn node(text: &mut String, found: &Found, kubernetes: bool) {
    let Some(name) = &found.node else { return };
    let name = scalar(&name.value);
    let _ = writeln!(
        text,
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}"
    );
    if kubernetes || !found.labels.is_empty() {
        text.push_str("  labels:\n");
    }
    let hostname = "kubernetes.io/hostname";
    if kubernetes && !found.labels.contains_key(hostname) {
        let _ = writeln!(text, "    {hostname}: {name}");
    }
    for (key, label) in &found.labels {
        let (key, value) = (scalar(key), scalar(&label.value));
        let _ = writeln!(text, "    # {}\n    {key}: {value}", printable(&label.from));
    }
    if found.addresses.is_empty() {
        text.push_str("# The daemon knows the node's own addresses; other nodes need them here:\n");
        text.push_str("# status:\n#   addresses:\n#   - {type: InternalIP, address: 10.0.0.10}\n");
    } else {
        text.push_str("status:\n  addresses:\n");
    }
    for address in &found.addresses {
        let _ = writeln!(text, "  - {{type: InternalIP, address: \"{address}\"}}");
    }
    text.push_str("---\n");
}

/// One slice a family, as Kubernetes has them.
fn api_servers(text: &mut String, found: &Found) {
    text.push_str("---\n");
    text.push_str(API_SERVERS);
    let families = [("IPv4", "kubernetes"), ("IPv6", "kubernetes-v6")];
    let mut first = true;
    for (family, name) in families {
        let is_of = |address: &&IpAddr| address.is_ipv4() == (family == "IPv4");
        let addresses: Vec<_> = found.addresses.iter().filter(is_of).collect();
        if addresses.is_empty() {
            continue;
        }
        if !std::mem::take(&mut first) {
            text.push_str("---\n");
        }
        let _ = write!(
            text,
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}\n  \
             namespace: default\n  labels:\n    kubernetes.io/service-name: kubernetes\n\
             addressType: {family}\nendpoints:\n"
        );
        for address in addresses {
            let _ = writeln!(text, "- addresses: [\"{address}\"]");
        }
    }
}

fn admin(text: &mut String, found: &Found) {
    if !text.ends_with("---\n") {
        text.push_str("---\n");
    }
    text.push_str(
        "# Where administrators come from; policies name it.\n\
         apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata:\n  name: admin-networks\nspec:\n",
    );
    if found.admin.is_empty() {
        text.push_str(
            "  # nobody yet, as - 192.0.2.0/24 and - 2001:db8:2::/48 in lines of their own\n  \
             externalCIDRs: []\n",
        );
        return;
    }
    text.push_str("  externalCIDRs:\n");
    for admin in &found.admin {
        let _ = writeln!(
            text,
            "  # {}\n  - \"{}\"",
            printable(&admin.from),
            admin.value
        );
    }
}

fn pods(text: &mut String, found: &Found, kubernetes: bool) {
    let entry = |prefix: &dyn std::fmt::Display| {
        format!("  - prefix: \"{prefix}\"\n    labels: [\"k8s:{CLUSTER}={CLUSTER_NAME}\"]\n")
    };
    let head = "apiVersion: fw-ctl.io/v1\nkind: AddressIdentities\nmetadata:\n  name: pods\n\
                spec:\n  entries:\n";
    if !found.pods.is_empty() {
        text.push_str("---\n");
        text.push_str(PODS);
        text.push_str(head);
        for pods in &found.pods {
            let _ = writeln!(text, "  # {}", printable(&pods.from));
            text.push_str(&entry(&pods.value));
        }
    } else if kubernetes {
        text.push_str("---\n");
        text.push_str(PODS);
        text.push_str("# It is not known here. If it is 10.42.0.0/16:\n#\n");
        for line in head.lines().chain(entry(&"10.42.0.0/16").lines()) {
            let _ = writeln!(text, "# {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Profile;
    use super::super::found::fact;
    use super::super::tests::wish;
    use super::*;
    use crate::diagnostic::Source;
    use crate::inventory::{Labels, NodeView, load_sources};

    fn found() -> Found {
        let mut found = Found {
            node: Some(fact("server1".into(), "hostname")),
            api_server: true,
            addresses: vec![
                "10.0.0.10".parse().unwrap(),
                "2001:db8::10".parse().unwrap(),
            ],
            admin: vec![fact("10.0.9.0/24".parse().unwrap(), "--admin")],
            pods: vec![fact("10.42.0.0/16".parse().unwrap(), "the default of RKE2")],
            ..Found::default()
        };
        for (key, value) in [("node-role.kubernetes.io/etcd", "true"), ("empty", "")] {
            found
                .labels
                .insert(key.into(), fact(value.into(), "/etc/x:1"));
        }
        found
    }

    fn view(profile: Profile, found: &Found) -> NodeView {
        let source = Source {
            name: "site.yaml".into(),
            text: text(&wish(profile, "/"), found),
        };
        let text = source.text.clone();
        let loaded = load_sources([source]);
        assert!(
            loaded.diagnostics.is_empty(),
            "{:?}\n{text}",
            loaded.diagnostics
        );
        assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
        assert_eq!(loaded.inventory.cidr_groups.len(), 1);
        loaded.inventory.view("server1", &Labels::new(), "default")
    }

    fn labels(view: &NodeView, address: &str) -> String {
        view.identities.of(address.parse().unwrap()).to_string()
    }

    #[test]
    fn the_text_says_what_was_found() {
        let view = view(Profile::Rke2Server, &found());
        assert_eq!(
            view.labels.to_string(),
            "k8s:empty,k8s:kubernetes.io/hostname=server1,k8s:node-role.kubernetes.io/etcd=true,\
             reserved:host"
        );
        for own in ["10.0.0.10", "2001:db8::10"] {
            assert_eq!(labels(&view, own), "reserved:host,reserved:kube-apiserver");
        }
        let pods = "k8s:io.cilium.k8s.policy.cluster=default";
        assert_eq!(labels(&view, "10.42.7.7"), pods);
        assert_eq!(labels(&view, "10.43.7.7"), "reserved:world-ipv4");
    }

    #[test]
    fn what_is_not_known_is_left_out_or_in_comments() {
        let nothing = Found::default();
        for profile in [Profile::Kubeadm, Profile::Plain, Profile::Talos] {
            let view = view(profile, &nothing);
            assert_eq!(
                view.labels.to_string(),
                "reserved:host",
                "{}",
                profile.name()
            );
            let worker = Found {
                api_server: false,
                addresses: Vec::new(),
                pods: Vec::new(),
                ..found()
            };
            self::view(profile, &worker);
        }
    }

    #[test]
    fn names_that_yaml_would_take_for_something_else_are_quoted() {
        let mut found = found();
        found.node = Some(fact("server1".into(), ""));
        found
            .labels
            .insert("a: b #".into(), fact("no\n- x".into(), "y\nz"));
        let view = view(Profile::K3s, &found);
        assert!(
            view.labels.to_string().contains("k8s:a: b #=no\n- x"),
            "{}",
            view.labels
        );
    }

    #[test]
    fn a_plain_host_needs_few_lines() {
        let found = Found {
            node: Some(fact("web1".into(), "hostname")),
            addresses: vec!["192.0.2.10".parse().unwrap()],
            admin: vec![fact("10.0.9.0/24".parse().unwrap(), "--admin")],
            ..Found::default()
        };
        let expected = "\
# Who is who, as `fw-ctl init --profile plain` has found it. Make it yours.
apiVersion: v1
kind: Node
metadata:
  name: web1
status:
  addresses:
  - {type: InternalIP, address: \"192.0.2.10\"}
---
# Where administrators come from; policies name it.
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata:
  name: admin-networks
spec:
  externalCIDRs:
  # --admin
  - \"10.0.9.0/24\"
";
        assert_eq!(text(&wish(Profile::Plain, "/"), &found), expected);
    }
}
