//! Who an address is, as Cilium numbers and names identities
//! (`pkg/identity/numericidentity.go`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Numeric identity of the node itself.
pub const HOST: u32 = 1;
/// Numeric identity of everything that nobody knows.
pub const WORLD: u32 = 2;

/// Reserved identities with a name of their own. The order is that in which a
/// set of several reserved labels is named: an API server on another node is
/// `kube-apiserver`, one on this node is `host`.
const RESERVED: [(&str, u32); 10] = [
    ("host", HOST),
    ("kube-apiserver", 7),
    ("remote-node", 6),
    ("health", 4),
    ("ingress", 8),
    ("init", 5),
    ("unmanaged", 3),
    ("world", WORLD),
    ("world-ipv4", 9),
    ("world-ipv6", 10),
];

/// Cilium's range for identities of a whole cluster.
const FIRST: u32 = 256;
const LAST: u32 = 65_535;

/// An identity: a number for the line, the labels for the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Cilium's number of a reserved identity, else one from 256 up.
    pub number: u32,
    /// The labels, as `source:key=value`, sorted.
    pub labels: Vec<String>,
}

impl Identity {
    /// The reserved name, else the number, as `cilium monitor` writes it.
    #[must_use]
    pub fn name(&self) -> String {
        match RESERVED.iter().find(|row| row.1 == self.number) {
            Some((name, _)) => (*name).to_owned(),
            None => self.number.to_string(),
        }
    }
}

/// Says who an address is.
pub trait Identities {
    /// The identity of an address; everything unknown is `reserved:world`.
    fn identity(&self, address: IpAddr) -> Identity;
}

/// Numbers the label sets of an inventory. Reserved sets have Cilium's numbers;
/// the others get one from a hash, so that it stays the same when the inventory
/// grows, moved to the next free one on collision.
///
/// Every set is a list of sorted `source:key=value`.
#[must_use]
pub fn number(sets: impl IntoIterator<Item = Vec<String>>) -> BTreeMap<Vec<String>, u32> {
    let sets: std::collections::BTreeSet<_> = sets.into_iter().collect();
    let mut taken = std::collections::BTreeSet::new();
    sets.into_iter()
        .map(|labels| {
            let number = reserved(&labels).unwrap_or_else(|| {
                let mut candidate = FIRST + hash(&labels) % (LAST - FIRST + 1);
                // More sets than numbers: then two share one, which only reads worse.
                for _ in FIRST..=LAST {
                    if taken.insert(candidate) {
                        break;
                    }
                    candidate = if candidate == LAST {
                        FIRST
                    } else {
                        candidate + 1
                    };
                }
                candidate
            });
            (labels, number)
        })
        .collect()
}

fn reserved(labels: &[String]) -> Option<u32> {
    RESERVED
        .iter()
        .find(|(name, _)| {
            labels
                .iter()
                .any(|label| label.strip_prefix("reserved:") == Some(*name))
        })
        .map(|row| row.1)
}

/// FNV-1a, 32 bits: stable between runs and releases, unlike the standard hasher.
pub(super) fn fnv(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn hash(labels: &[String]) -> u32 {
    fnv(labels
        .iter()
        .flat_map(|label| label.bytes().chain(std::iter::once(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    #[test]
    fn reserved_sets_have_ciliums_numbers_and_names() {
        for (labels, number_, name) in [
            (set(&["reserved:world"]), 2, "world"),
            (
                set(&["k8s:rack=1", "reserved:host", "reserved:kube-apiserver"]),
                1,
                "host",
            ),
            (
                set(&["reserved:kube-apiserver", "reserved:remote-node"]),
                7,
                "kube-apiserver",
            ),
            (set(&["node:a=b", "reserved:remote-node"]), 6, "remote-node"),
        ] {
            let numbers = number([labels.clone()]);
            let identity = Identity {
                number: numbers[&labels],
                labels,
            };
            assert_eq!((identity.number, identity.name().as_str()), (number_, name));
        }
    }

    #[test]
    fn other_sets_have_numbers_of_their_own_that_stay() {
        let many: Vec<_> = (0..5_000)
            .map(|i| set(&[&format!("k8s:app=a{i}")]))
            .collect();
        let numbers = number(many.clone());
        let distinct: std::collections::BTreeSet<_> = numbers.values().collect();
        assert_eq!(distinct.len(), many.len());
        assert!(numbers.values().all(|n| (FIRST..=LAST).contains(n)));
        let one = number([many[7].clone()]);
        assert_eq!(one.len(), 1);
        let identity = Identity {
            number: one[&many[7]],
            labels: many[7].clone(),
        };
        assert_eq!(identity.name(), identity.number.to_string());
    }
}
