//! Whom a ban would harm: the node itself, its cluster, its operator.

use std::net::IpAddr;

use super::{Firewall, Kernel, Sources};
use crate::control::protocol::Failure;
use crate::exit;

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Why some of `addresses` should not be banned, a line each. `asker`: where the
    /// operator is connected from.
    pub(super) fn harm_of(&self, addresses: &[IpAddr], asker: Option<IpAddr>) -> Vec<String> {
        let asker = asker.map(|asker| asker.to_canonical());
        let mut harm = Vec::new();
        for address in addresses {
            let mut because = |why: String| harm.push(format!("{address} {why}"));
            if self.network.local_addresses().contains(address) {
                because("is an address of this node".into());
            }
            if asker == Some(*address) {
                because("is where you are connected from by SSH".into());
            }
            if let Some((_, compiled)) = &self.installed {
                let labels = compiled.identities.labels(*address);
                if labels.is_remote_node() {
                    because("is a node of the cluster".into());
                }
                if labels.is_reserved("kube-apiserver") {
                    because("is the API server of the cluster".into());
                }
            }
            let failsafe = &self.config.failsafe;
            let entries = [
                ("inbound", &failsafe.inbound),
                ("outbound", &failsafe.outbound),
            ];
            for (direction, entries) in entries {
                for cidr in entries.iter().filter_map(|entry| entry.cidr) {
                    if cidr.contains(address) {
                        because(format!("is in {cidr} of `failsafe.{direction}`"));
                    }
                }
            }
        }
        harm
    }
}

/// Refuses addresses that no peer has.
///
/// # Errors
/// If there is one.
pub(super) fn refuse_nobody(addresses: &[IpAddr]) -> Result<(), Failure> {
    let nobody = |address: &&IpAddr| {
        let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
        address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast
    };
    match addresses.iter().find(nobody) {
        None => Ok(()),
        Some(address) => Err(Failure::new(
            exit::USAGE,
            format!("{address} is not banned: no peer has such an address"),
        )),
    }
}

/// What the one who asked without force is told.
pub(super) fn refusal(harm: &[String]) -> Failure {
    Failure::new(
        exit::REFUSED,
        format!("nothing is banned: {}", harm.join("\n")),
    )
    .help("--force, if you mean it: of what policy judges, only what failsafe entries allow passes")
}
