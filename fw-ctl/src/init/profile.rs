//! The policies of each kind of host: those of `config/policies`, built in, so that what is
//! shipped as files and what `fw-ctl init` writes are one.

use std::collections::BTreeSet;

use clap::ValueEnum;

/// A kind of host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// A server of RKE2
    Rke2Server,
    /// An agent of RKE2
    Rke2Agent,
    /// A server or an agent of k3s
    K3s,
    /// A node of a cluster that kubeadm made
    Kubeadm,
    /// A node of Talos; files only, for another machine
    Talos,
    /// A host without Kubernetes: SSH for administrators, and ping
    Plain,
}

/// Name and text of a file.
type File = (&'static str, &'static str);

/// A file of `config/policies`, by its directory and name.
macro_rules! shipped {
    ($set:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!("../../../config/policies/", $set, "/", $name)),
        )
    };
}

const RKE2: &[File] = &[
    shipped!("rke2", "egress.yaml"),
    shipped!("rke2", "etcd.yaml"),
    shipped!("rke2", "every-node.yaml"),
    shipped!("rke2", "servers.yaml"),
    shipped!("rke2", "web.yaml"),
];
const K3S: &[File] = &[
    shipped!("k3s", "egress.yaml"),
    shipped!("k3s", "etcd.yaml"),
    shipped!("k3s", "every-node.yaml"),
    shipped!("k3s", "servers.yaml"),
    shipped!("k3s", "web.yaml"),
];
const KUBEADM: &[File] = &[
    shipped!("kubeadm", "control-plane.yaml"),
    shipped!("kubeadm", "egress.yaml"),
    shipped!("kubeadm", "etcd.yaml"),
    shipped!("kubeadm", "every-node.yaml"),
];
const TALOS: &[File] = &[
    shipped!("talos", "control-plane.yaml"),
    shipped!("talos", "egress.yaml"),
    shipped!("talos", "etcd.yaml"),
    shipped!("talos", "every-node.yaml"),
];
const PLAIN: &[File] = &[shipped!("plain", "host.yaml")];

/// The item of a policy that lets SSH in, as the shipped files write it: on the port that
/// sshd has where nobody says anything else.
const SSH: &str = "      - port: \"22\"\n        protocol: TCP\n";

impl Profile {
    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rke2Server => "rke2-server",
            Self::Rke2Agent => "rke2-agent",
            Self::K3s => "k3s",
            Self::Kubeadm => "kubeadm",
            Self::Talos => "talos",
            Self::Plain => "plain",
        }
    }

    /// Whether it is a node of a Kubernetes cluster.
    #[must_use]
    pub fn is_kubernetes(self) -> bool {
        self != Self::Plain
    }

    /// Its policies, which are the same on every node of a cluster: names and texts of files.
    ///
    /// SSH is let in on `ssh_ports`. With `calico` the files for Calico's ports are among them,
    /// where the profile has some.
    #[must_use]
    pub fn policies(self, ssh_ports: &BTreeSet<u16>, calico: bool) -> Vec<(&'static str, String)> {
        let files = match self {
            Self::Rke2Server | Self::Rke2Agent => RKE2,
            Self::K3s => K3S,
            Self::Kubeadm => KUBEADM,
            Self::Talos => TALOS,
            Self::Plain => PLAIN,
        };
        let more = self.calico().filter(|_| calico);
        let files = files.iter().chain(more.as_ref());
        files
            .map(|(name, text)| (*name, with_ssh(text, ssh_ports)))
            .collect()
    }

    /// What Calico needs beside. Talos' own Flannel has Calico's port for VXLAN already.
    fn calico(self) -> Option<File> {
        match self {
            Self::Rke2Server | Self::Rke2Agent => Some(shipped!("rke2-optional", "other-cni.yaml")),
            Self::K3s => Some(shipped!("k3s-optional", "calico.yaml")),
            Self::Kubeadm => Some(shipped!("kubeadm-optional", "calico.yaml")),
            Self::Talos | Self::Plain => None,
        }
    }
}

fn with_ssh(text: &str, ports: &BTreeSet<u16>) -> String {
    let items = ports.iter();
    let items: String = items
        .map(|port| SSH.replace("22", &port.to_string()))
        .collect();
    text.replace(SSH, &items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(profile: Profile, ports: &[u16]) -> Vec<String> {
        let files = profile.policies(&ports.iter().copied().collect(), true);
        files.into_iter().map(|(_, text)| text).collect()
    }

    /// Where there is no such item, [`with_ssh`] would do nothing, and say nothing.
    #[test]
    fn every_profile_but_talos_lets_ssh_in_at_one_place() {
        for profile in Profile::value_variants() {
            let count: usize = texts(*profile, &[22])
                .iter()
                .map(|text| text.matches(SSH).count())
                .sum();
            let expected = usize::from(*profile != Profile::Talos);
            assert_eq!(count, expected, "{}", profile.name());
        }
    }

    #[test]
    fn ssh_is_let_in_where_sshd_listens() {
        for profile in [Profile::Rke2Agent, Profile::Plain] {
            let all = texts(profile, &[2022, 2222]).concat();
            assert!(!all.contains("\"22\""), "{all}");
            let items = "    - ports:\n      - port: \"2022\"\n        protocol: TCP\n      \
                         - port: \"2222\"\n        protocol: TCP\n";
            assert!(all.contains(items), "{all}");
        }
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for profile in Profile::value_variants() {
            let value = profile.to_possible_value().unwrap();
            assert_eq!(profile.name(), value.get_name());
        }
    }
}
