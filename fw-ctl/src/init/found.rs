//! What a host says of itself, and where it says so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::listening::{Listening, listening};
use super::place::Root;
use super::{Profile, Wish, addresses, kubeadm, rancher};
use crate::config::{declared_ports, listening_ports};
use crate::control::protocol::Failure;
use crate::doctor;
use crate::texts;

/// Something that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact<T> {
    /// What.
    pub value: T,
    /// `path:line` of a file, or a few words.
    pub from: String,
}

pub(super) fn fact<T>(value: T, from: &str) -> Fact<T> {
    Fact {
        value,
        from: from.to_owned(),
    }
}

/// Everything that configuration, inventory and policies are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The name of the node; `None`: it is the hostname, which is not known here.
    pub node: Option<Fact<String>>,
    /// Its labels.
    pub labels: BTreeMap<String, Fact<String>>,
    /// It runs an API server.
    pub api_server: bool,
    /// Its addresses for others.
    pub addresses: Vec<IpAddr>,
    /// The ports of its sshd; none of Talos, which has no SSH.
    pub ssh_ports: BTreeSet<u16>,
    /// Where administrators come from.
    pub admin: Vec<Fact<IpNet>>,
    /// The networks of pods.
    pub pods: Vec<Fact<IpNet>>,
    /// Where Calico was seen.
    pub calico: Option<String>,
    /// What it listens on.
    pub listening: Vec<Listening>,
    /// What the operator should know of all that, a sentence each.
    pub notes: Vec<String>,
}

/// What a distribution of Kubernetes says of a node.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: Option<Fact<String>>,
    pub(super) labels: BTreeMap<String, Fact<String>>,
    pub(super) api_server: bool,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) pods: Vec<Fact<IpNet>>,
    /// The network of pods, if it is the usual one.
    pub(super) usual_pods: Option<Fact<IpNet>>,
    pub(super) calico: Option<String>,
    pub(super) notes: Vec<String>,
}

/// Looks at the host.
///
/// # Errors
/// A configuration that it is described by is wrong, or cannot be read.
pub(super) fn find(wish: &Wish) -> Result<Found, Failure> {
    let root = &wish.root;
    let mut node = match wish.profile {
        Profile::Rke2Server => rancher::rke2(root, true)?,
        Profile::Rke2Agent => rancher::rke2(root, false)?,
        Profile::K3s => rancher::k3s(root)?,
        Profile::Kubeadm => kubeadm::find(root),
        Profile::Talos | Profile::Plain => Node::default(),
    };
    let mut found = Found {
        node: name(wish, &node),
        admin: admin(wish),
        ..Found::default()
    };
    if wish.profile != Profile::Talos {
        found.ssh_ports = match root.is_here() {
            true => listening_ports(),
            false => declared_ports(&root.join("/")),
        };
    }
    found.addresses = node.addresses;
    found.calico = node.calico;
    if wish.is_of_this_machine() {
        match doctor::network() {
            Ok(network) => {
                let usual = node.usual_pods.take();
                // The node's own end of the pod network: a bridge, a tunnel.
                let has_one = |pods: &Fact<IpNet>| {
                    let mut own = network.addresses.iter();
                    own.any(|one| pods.value.contains(&one.address))
                };
                node.pods.extend(usual.filter(has_one));
                let pods: Vec<_> = node.pods.iter().map(|pods| pods.value).collect();
                found.addresses.extend(addresses::of(&network, &pods));
            }
            Err(why) => found.notes.push(format!("no address is known: {why}")),
        }
        let (sockets, notes) = listening();
        found.listening = sockets;
        found.notes.extend(notes);
    }
    found.addresses.sort_unstable();
    found.addresses.dedup();
    found.pods = node.pods;
    found.labels = node.labels;
    found.api_server = node.api_server;
    found.notes.extend(node.notes);
    missing(wish, &mut found);
    Ok(found)
}

/// What was said, or what Kubernetes calls the node, or its hostname.
fn name(wish: &Wish, node: &Node) -> Option<Fact<String>> {
    if let Some(name) = &wish.node {
        return Some(fact(name.clone(), "--node"));
    }
    if let Some(name) = &node.name {
        return Some(name.clone());
    }
    let hostname = if wish.is_of_this_machine() {
        nix::unistd::gethostname().ok()?.into_string().ok()?
    } else if wish.root.is_here() {
        // It is another machine's, of which there is nothing here.
        return None;
    } else {
        texts::read_to_string(&wish.root.join("/etc/hostname")).ok()?
    };
    let mut lines = hostname.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    // The kubelet registers its node in small letters.
    let name = match wish.profile.is_kubernetes() {
        true => line.to_lowercase(),
        false => line.to_owned(),
    };
    Some(fact(name, "hostname"))
}

/// The networks that were named; if there are none, whoever sits in front of this.
fn admin(wish: &Wish) -> Vec<Fact<IpNet>> {
    if wish.admin.is_empty() {
        let client = wish.ssh_client.map(IpNet::from);
        return client
            .map(|client| fact(client, "your SSH session"))
            .into_iter()
            .collect();
    }
    let mut named = wish.admin.clone();
    named.sort_unstable();
    named.dedup();
    named.into_iter().map(|one| fact(one, "--admin")).collect()
}

/// Says what is not known, and what follows from it.
fn missing(wish: &Wish, found: &mut Found) {
    let mut note = |text: &str| found.notes.push(text.to_owned());
    if !wish.is_of_this_machine() {
        note("addresses and listening sockets here are this machine's, and left out");
    }
    if found.node.is_none() {
        note("the name of the node is not known: it will be the hostname (or say --node NAME)");
    }
    if found.admin.is_empty() {
        note(
            "no admin network is known: add yours to the CiliumCIDRGroup `admin-networks`, or say \
             --admin CIDR",
        );
    }
    if found.admin.iter().any(|one| one.value.prefix_len() == 0) {
        note("an admin network is everybody");
    }
}

/// The file of a pod network that is Calico's, or Canal, which is Calico in part.
pub(super) fn calico(root: &Root, directories: &[&str]) -> Option<String> {
    directories.iter().find_map(|directory| {
        let entries = std::fs::read_dir(root.join(directory)).ok()?;
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        let name = names
            .into_iter()
            .find(|name| name.contains("calico") || name.contains("canal"))?;
        Some(format!("{directory}/{name}"))
    })
}
