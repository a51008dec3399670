//! What RKE2 and k3s say of the node that they run: its name, labels and networks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::found::{Node, fact};
use super::place::Root;
use super::settings::Settings;
use crate::control::protocol::Failure;

/// The network of pods where `cluster-cidr` says nothing; the same in both.
const PODS: &str = "10.42.0.0/16";
/// The labels that both set on their servers, with the value `true`.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
const ETCD: &str = "node-role.kubernetes.io/etcd";
const TRUE: &str = "true";

/// What differs between the two.
struct Distribution {
    name: &'static str,
    /// The directory of the configuration.
    configuration: &'static str,
    /// Where a server, and nobody else, keeps its state.
    server: &'static str,
    /// The unit of an agent.
    agent_unit: &'static str,
    /// Where it puts the configuration of the pod network.
    networks: [&'static str; 2],
}

const RKE2: Distribution = Distribution {
    name: "RKE2",
    configuration: "/etc/rancher/rke2",
    server: "/var/lib/rancher/rke2/server",
    agent_unit: "rke2-agent.service",
    networks: [
        "/etc/cni/net.d",
        "/var/lib/rancher/rke2/agent/etc/cni/net.d",
    ],
};
const K3S: Distribution = Distribution {
    name: "k3s",
    configuration: "/etc/rancher/k3s",
    server: "/var/lib/rancher/k3s/server",
    agent_unit: "k3s-agent.service",
    networks: ["/etc/cni/net.d", "/var/lib/rancher/k3s/agent/etc/cni/net.d"],
};

/// A node of RKE2, which is a server or not by what the operator says.
///
/// # Errors
/// Its configuration is wrong, or cannot be read.
pub(super) fn rke2(root: &Root, server: bool) -> Result<Node, Failure> {
    let settings = Settings::read(root, RKE2.configuration)?;
    let mut node = of(&RKE2, root, &settings, server);
    if !server && root.join(RKE2.server).is_dir() {
        node.notes.push(format!(
            "{} is there, which only servers have: is this profile meant, and not rke2-server?",
            RKE2.server
        ));
    }
    // All servers of RKE2 run etcd, unless it is switched off or the datastore is elsewhere.
    let elsewhere = settings.one("datastore-endpoint").is_some() || settings.is_on("disable-etcd");
    if server && !elsewhere {
        node.label(ETCD, TRUE, "servers of RKE2");
    }
    if node.calico.is_none() {
        let mut plugins = settings.parts("cni").into_iter();
        node.calico = plugins
            .find(|one| ["calico", "canal"].contains(&one.value.as_str()))
            .map(|one| one.from);
    }
    Ok(node)
}

/// A node of k3s. It is an agent if its unit is that of agents, or if it names a server to
/// register with and has no state of a server.
///
/// # Errors
/// Its configuration is wrong, or cannot be read.
pub(super) fn k3s(root: &Root) -> Result<Node, Failure> {
    let settings = Settings::read(root, K3S.configuration)?;
    let state = root.join(K3S.server);
    let (server, why) = if state.is_dir() {
        (true, format!("{} is there", K3S.server))
    } else if let Some(unit) = unit(root, K3S.agent_unit) {
        (false, format!("{unit} is there"))
    } else if let (Some(server), false) = (settings.one("server"), settings.is_on("cluster-init")) {
        (false, format!("`server` at {}", server.from))
    } else {
        (true, "nothing says that it is an agent".to_owned())
    };
    let mut node = of(&K3S, root, &settings, server);
    let role = if server { "a server" } else { "an agent" };
    node.notes.push(format!("taken for {role} of k3s: {why}"));
    // A single server has SQLite; several have etcd, or a datastore elsewhere.
    let is_member = settings.is_on("cluster-init")
        || settings.one("server").is_some()
        || state.join("db/etcd").is_dir();
    let elsewhere = settings.one("datastore-endpoint").is_some() || settings.is_on("disable-etcd");
    if server && is_member && !elsewhere {
        node.label(ETCD, TRUE, "servers of k3s with etcd");
    }
    Ok(node)
}

/// What is the same in both.
fn of(which: &Distribution, root: &Root, settings: &Settings, server: bool) -> Node {
    let mut node = Node::default();
    if settings.files == 0 {
        node.notes.push(format!(
            "there is no {}/config.yaml: labels and networks are those that {} has by default",
            which.configuration, which.name
        ));
    }
    node.name = settings.one("node-name").cloned();
    if server && !settings.is_on("disable-apiserver") {
        node.api_server = true;
        node.label(CONTROL_PLANE, TRUE, &format!("servers of {}", which.name));
    }
    for label in settings.all("node-label") {
        match label.value.split_once('=') {
            Some((key, value)) => node.label(key, value, &label.from),
            None => node.notes.push(format!(
                "{}: the label `{}` has no value, and is left out",
                label.from, label.value
            )),
        }
    }
    for address in settings.parts("node-ip") {
        // k3s also takes what is no address, and says so itself.
        node.addresses.extend(address.value.parse::<IpAddr>());
    }
    let networks = settings.parts("cluster-cidr");
    for network in &networks {
        match network.value.parse::<IpNet>() {
            Ok(prefix) => node.pods.push(fact(prefix.trunc(), &network.from)),
            Err(_) => node.notes.push(format!(
                "{}: `{}` is no prefix, and is left out",
                network.from, network.value
            )),
        }
    }
    if let (true, Ok(usual)) = (networks.is_empty(), PODS.parse()) {
        // Only servers are told; agents are as their servers say.
        let from = format!("the default of {}", which.name);
        match server {
            true => node.pods.push(fact(usual, &from)),
            false => node.usual_pods = Some(fact(usual, &from)),
        }
    }
    node.calico = super::found::calico(root, &which.networks);
    node
}

/// A unit that is installed.
fn unit(root: &Root, name: &str) -> Option<String> {
    let directories = [
        "/etc/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
    ];
    let mut paths = directories.iter().map(|path| format!("{path}/{name}"));
    paths.find(|path| root.join(path).exists())
}

impl Node {
    fn label(&mut self, key: &str, value: &str, from: &str) {
        self.labels
            .insert(key.to_owned(), fact(value.to_owned(), from));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::root as files;
    use super::*;

    fn labels(node: &Node) -> Vec<String> {
        let labels = node.labels.iter();
        labels
            .map(|(key, one)| format!("{key}={}", one.value))
            .collect()
    }

    const CP: &str = "node-role.kubernetes.io/control-plane=true";
    const MEMBER: &str = "node-role.kubernetes.io/etcd=true";

    #[test]
    fn servers_of_rke2_have_the_labels_that_it_sets() {
        let at = |text: &str, server| {
            let root = files(&[("etc/rancher/rke2/config.yaml", text)]);
            rke2(&Root::new(root.path()), server).unwrap()
        };
        let node = at("node-label:\n- rack=r1\n- \"zone=\"\n- nonsense\n", true);
        assert_eq!(labels(&node), [CP, MEMBER, "rack=r1", "zone="]);
        assert!(node.api_server);
        assert!(
            node.notes[0].contains("`nonsense` has no value"),
            "{:?}",
            node.notes
        );
        let node = at("node-label: rack=r1\nnode-name: Node1\n", false);
        assert_eq!(labels(&node), ["rack=r1"]);
        assert_eq!(node.name.unwrap().value, "Node1");
        assert!(!node.api_server);
        assert_eq!(labels(&at("disable-etcd: true", true)), [CP]);
        assert_eq!(labels(&at("disable-apiserver: true", true)), [MEMBER]);
        assert!(at("cni: [multus, calico]", false).calico.is_some());
        assert_eq!(at("cni: cilium", false).calico, None);
    }

    #[test]
    fn the_network_of_pods_is_known_to_servers() {
        let at = |text: &str, server| {
            let root = files(&[("etc/rancher/rke2/config.yaml", text)]);
            let node = rke2(&Root::new(root.path()), server).unwrap();
            let pods = node.pods.iter().map(|one| one.value.to_string());
            (pods.collect::<Vec<_>>(), node.usual_pods.is_some())
        };
        let networks = "cluster-cidr: 10.1.0.0/16,fd01::/56\n";
        assert_eq!(
            at(networks, true),
            (vec!["10.1.0.0/16".into(), "fd01::/56".into()], false)
        );
        assert_eq!(at("a: b", true), (vec!["10.42.0.0/16".into()], false));
        assert_eq!(at("a: b", false), (vec![], true));
        assert_eq!(at("cluster-cidr: all\n", true), (vec![], false));
    }

    #[test]
    fn k3s_is_a_server_unless_something_says_otherwise() {
        let at = |paths: &[(&str, &str)]| k3s(&Root::new(files(paths).path())).unwrap();
        let config = |text| [("etc/rancher/k3s/config.yaml", text)];
        assert_eq!(labels(&at(&[])), [CP]);
        assert_eq!(labels(&at(&config("cluster-init: true"))), [CP, MEMBER]);
        let joins = "server: https://10.0.0.10:6443\nnode-label: rack=r1\n";
        let agent = at(&config(joins));
        assert_eq!(labels(&agent), ["rack=r1"]);
        assert!(
            agent.notes[0].contains("an agent of k3s: `server` at "),
            "{:?}",
            agent.notes
        );
        // A server that has joined others.
        let state = ("var/lib/rancher/k3s/server/token", "");
        assert_eq!(
            labels(&at(&[config(joins)[0], state])),
            [CP, MEMBER, "rack=r1"]
        );
        let outside = "datastore-endpoint: postgres://\nserver: https://10.0.0.10:6443\n";
        assert_eq!(labels(&at(&[config(outside)[0], state])), [CP]);
        let unit = ("etc/systemd/system/k3s-agent.service", "");
        assert_eq!(labels(&at(&[unit])), [""; 0]);
        let member = ("var/lib/rancher/k3s/server/db/etcd/name", "");
        assert_eq!(labels(&at(&[member])), [CP, MEMBER]);
    }
}
