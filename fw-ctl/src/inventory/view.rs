//! The inventory, seen from one node.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Beside, Claim, How, Identities, Inventory, Labels, Place, Placed, addresses};
use crate::policy::label::{Label, LabelSet};

/// What a node knows of itself and of its peers.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Its labels, as the subject of policies: `k8s:…` and `reserved:host`.
    pub labels: LabelSet,
    /// Its addresses, as far as the inventory knows them.
    pub addresses: BTreeSet<IpAddr>,
    /// Who has which address.
    pub identities: Identities,
}

impl Inventory {
    /// What the node `name` sees. `labels` (of the configuration) are added to
    /// those of its `Node` and win over them.
    ///
    /// Of what is said about one prefix the first counts: `AddressIdentities`,
    /// then nodes, then `CiliumEndpoint`s, then `Pod`s.
    #[must_use]
    pub fn view(&self, name: &str, labels: &Labels, cluster: &str) -> NodeView {
        let own = self.nodes.get(name);
        let mut all_labels = own.map(|node| node.labels.clone()).unwrap_or_default();
        all_labels.extend(labels.clone());
        let mut derived = Derived::default();
        self.derive(&mut derived, name, cluster);
        for (address, place) in &self.api_server {
            derived.api_server(*address, *place);
        }
        let Derived { found, beside } = derived;
        let claims = self.explicit.iter().cloned();
        let claims = claims.chain(found.into_values());
        let identities = Identities::of_claims(claims, beside, Arc::clone(&self.objects));
        let known = own.map(|node| node.addresses.clone()).unwrap_or_default();
        let explicit_hosts = identities
            .entries_with_world()
            .filter(|(prefix, labels)| {
                labels.is_host() && prefix.prefix_len() == prefix.max_prefix_len()
            })
            .map(|(prefix, _)| prefix.addr());
        let addresses = known
            .into_iter()
            .map(|(address, _)| address)
            .filter(|address| identities.of(*address).is_host())
            .chain(explicit_hosts)
            .collect();
        NodeView {
            labels: addresses::subject(&all_labels),
            addresses,
            identities,
        }
    }

    /// What the Kubernetes objects say of single addresses.
    fn derive(&self, derived: &mut Derived, name: &str, cluster: &str) {
        let reserved = |key| Arc::new(LabelSet::from_iter([Label::reserved(key)]));
        // The node's own first: no other node may claim its address.
        if let Some(own) = self.nodes.get(name) {
            derived.add(&own.addresses, &reserved("host"));
        }
        for node in self.nodes.values() {
            derived.add(&node.health, &reserved("health"));
            derived.add(&node.ingress, &reserved("ingress"));
        }
        for (_, node) in self.nodes.iter().filter(|(other, _)| *other != name) {
            let labels = addresses::remote_node(&node.labels, cluster);
            derived.add(&node.addresses, &Arc::new(labels));
        }
        for endpoint in &self.endpoints {
            derived.add_all(&endpoint.addresses, endpoint.place, &endpoint.labels);
        }
        for pod in &self.pods {
            let namespace = self.namespaces.get(&pod.namespace);
            let labels = addresses::pod(pod, namespace, cluster);
            derived.add_all(&pod.addresses, pod.place, &Arc::new(labels));
        }
    }
}

/// What is said of single addresses.
#[derive(Default)]
struct Derived {
    /// What counts.
    found: BTreeMap<IpAddr, Claim>,
    /// What came later.
    beside: Vec<Beside>,
}

impl Derived {
    fn add(&mut self, addresses: &[Placed], labels: &Arc<LabelSet>) {
        for (address, place) in addresses {
            self.add_all(&[*address], *place, labels);
        }
    }

    fn add_all(&mut self, addresses: &[IpAddr], place: Place, labels: &Arc<LabelSet>) {
        for address in addresses {
            let address = address.to_canonical();
            match self.found.entry(address) {
                Entry::Vacant(free) => {
                    free.insert(Claim {
                        prefix: address.into(),
                        labels: Arc::clone(labels),
                        place,
                    });
                }
                Entry::Occupied(taken) if taken.get().place == place => {}
                Entry::Occupied(_) => self.beside.push(Beside {
                    prefix: address.into(),
                    place,
                    how: How::Claims(Arc::clone(labels)),
                }),
            }
        }
    }

    /// An address of the API server: a label more where it is somebody's already.
    fn api_server(&mut self, address: IpAddr, place: Place) {
        let address = address.to_canonical();
        match self.found.entry(address) {
            Entry::Occupied(mut taken) => {
                let labels = Arc::make_mut(&mut taken.get_mut().labels);
                labels.insert(Label::reserved("kube-apiserver"));
                self.beside.push(Beside {
                    prefix: address.into(),
                    place,
                    how: How::ApiServer,
                });
            }
            Entry::Vacant(free) => {
                free.insert(Claim {
                    prefix: address.into(),
                    labels: Arc::new(addresses::external_api_server(address)),
                    place,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::from_text;
    use super::*;

    const CLUSTER: &str = "
kind: List
items:
- kind: Node
  metadata: {name: a, labels: {role: cp, rack: r1}, uid: ignored}
  status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: Hostname, address: a}]}
- kind: Node
  metadata: {name: b, labels: {role: worker}}
  status: {addresses: [{type: InternalIP, address: 10.0.0.2}, {type: InternalIP, address: 'fd00::2'}]}
- kind: CiliumNode
  metadata: {name: b}
  spec: {addresses: [{type: CiliumInternalIP, ip: 10.42.2.1}], health: {ipv4: 10.42.2.2}}
---
kind: PodList
items:
- metadata: {name: web, namespace: shop, labels: {app: web}}
  spec: {serviceAccountName: web-sa, containers: [{}]}
  status: {phase: Running, podIP: 10.42.2.9, podIPs: [{ip: 10.42.2.9}, {ip: 'fd01::9'}]}
- metadata: {name: host, namespace: kube-system}
  spec: {hostNetwork: true}
  status: {podIP: 10.0.0.2}
- metadata: {name: done, namespace: shop}
  status: {phase: Succeeded, podIP: 10.42.2.10}
---
kind: Namespace
metadata: {name: shop, labels: {team: x}}
---
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
endpoints: [{addresses: [10.0.0.1]}, {addresses: [203.0.113.10]}]
---
apiVersion: fw-ctl.io/v1
kind: AddressIdentities
spec:
  entries:
  - {prefix: 10.0.0.2/32, labels: ['reserved:remote-node', 'k8s:mine=1']}
  - {prefix: 10.0.0.77/32, labels: ['reserved:host']}
";

    fn labels_of(view: &NodeView, address: &str) -> String {
        view.identities.of(address.parse().unwrap()).to_string()
    }

    #[test]
    fn each_node_sees_itself_as_host_and_the_others_as_remote() {
        let loaded = from_text(CLUSTER);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let extra = Labels::from([("rack".to_owned(), "r9".to_owned())]);
        let a = loaded.inventory.view("a", &extra, "c1");
        assert_eq!(
            a.labels.to_string(),
            "k8s:rack=r9,k8s:role=cp,reserved:host"
        );
        let addresses: Vec<String> = a.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.1", "10.0.0.77"]);
        assert_eq!(
            labels_of(&a, "10.0.0.1"),
            "reserved:host,reserved:kube-apiserver"
        );
        let b = "k8s:io.cilium.k8s.policy.cluster=c1,node:role=worker,reserved:remote-node";
        assert_eq!(labels_of(&a, "fd00::2"), b);
        assert_eq!(labels_of(&a, "10.42.2.1"), b);
        assert_eq!(labels_of(&a, "10.42.2.2"), "reserved:health");
    }

    #[test]
    fn explicit_entries_win_over_the_objects() {
        let a = from_text(CLUSTER).inventory.view("a", &Labels::new(), "c1");
        assert_eq!(labels_of(&a, "10.0.0.2"), "k8s:mine=1,reserved:remote-node");
    }

    #[test]
    fn pods_have_the_labels_that_cilium_gives_them() {
        let a = from_text(CLUSTER).inventory.view("a", &Labels::new(), "c1");
        assert_eq!(
            labels_of(&a, "fd01::9"),
            "k8s:app=web,k8s:io.cilium.k8s.namespace.labels.team=x,\
             k8s:io.cilium.k8s.policy.cluster=c1,\
             k8s:io.cilium.k8s.policy.serviceaccount=web-sa,\
             k8s:io.kubernetes.pod.namespace=shop"
        );
        assert_eq!(labels_of(&a, "10.42.2.10"), "reserved:world-ipv4");
    }

    #[test]
    fn an_external_api_server_stays_world() {
        let a = from_text(CLUSTER).inventory.view("a", &Labels::new(), "c1");
        assert_eq!(
            labels_of(&a, "203.0.113.10"),
            "cidr:203.0.113.10/32,reserved:kube-apiserver,reserved:world-ipv4"
        );
        let b = from_text(CLUSTER).inventory.view("b", &Labels::new(), "c1");
        assert!(
            labels_of(&b, "10.0.0.1").ends_with("reserved:kube-apiserver,reserved:remote-node")
        );
    }
}
