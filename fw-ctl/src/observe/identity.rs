//! Who an address is, as Cilium numbers and names identities
//! (`pkg/identity/numericidentity.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::inventory::Identities;
use crate::policy::label::{LabelSet, NAMESPACE};

/// Numeric identity of the node itself.
pub const HOST: u32 = 1;
/// Numeric identity of everything that nobody knows.
pub const WORLD: u32 = 2;

/// Reserved identities with a name of their own. The order is that in which a
/// set of several reserved labels is named: an API server on another node is
/// `kube-apiserver`, one on this node is `host`.
///
/// The two halves of the world have numbers of their own on a dual-stack cluster
/// (9 and 10). Both are `world` here, as on a single-stack one: a node has both
/// families as a rule, and the family stands in the same line anyway.
const RESERVED: [(&str, u32); 10] = [
    ("host", HOST),
    ("kube-apiserver", 7),
    ("remote-node", 6),
    ("health", 4),
    ("ingress", 8),
    ("init", 5),
    ("unmanaged", 3),
    ("world", WORLD),
    ("world-ipv4", WORLD),
    ("world-ipv6", WORLD),
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
    /// The node itself, when nothing more is known.
    #[must_use]
    pub fn host() -> Arc<Self> {
        static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| {
            Arc::new(Identity {
                number: HOST,
                labels: vec!["reserved:host".into()],
            })
        });
        Arc::clone(&IDENTITY)
    }

    /// The reserved name, else the number, as `cilium monitor` writes it.
    #[must_use]
    pub fn name(&self) -> String {
        match self.reserved_name() {
            Some(name) => name.to_owned(),
            None => self.number.to_string(),
        }
    }

    /// The name, if it is a reserved one.
    #[must_use]
    pub fn reserved_name(&self) -> Option<&'static str> {
        let mut named = RESERVED.iter().filter(|row| row.1 == self.number);
        named.next().map(|row| row.0)
    }

    /// Whether it is that of a pod: who has it is in a namespace.
    #[must_use]
    pub fn is_of_a_pod(&self) -> bool {
        self.label(NAMESPACE).is_some()
    }

    /// The value of a label of Kubernetes.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find_map(|label| {
            let rest = label.strip_prefix("k8s:")?.strip_prefix(key)?;
            rest.strip_prefix('=')
        })
    }

    /// The number of a reserved name, or a number as it is written.
    #[must_use]
    pub fn number_of(text: &str) -> Option<u32> {
        let row = RESERVED.iter().find(|(name, _)| *name == text);
        row.map(|row| row.1).or_else(|| text.parse().ok())
    }
}

/// Says who an address is.
pub trait Identify {
    /// The identity of an address; everything unknown is the world.
    fn identity(&self, address: IpAddr) -> Arc<Identity>;
    /// Name of the pod whose address it is, without its namespace.
    fn pod(&self, address: IpAddr) -> Option<&str>;
}

/// The identities of an inventory with their numbers. Reserved ones have Cilium's;
/// the others get one from a hash of the labels, so that it stays the same when
/// the inventory grows, moved to the next free one on collision.
#[derive(Debug)]
pub struct Numbered {
    identities: Identities,
    numbered: BTreeMap<LabelSet, Arc<Identity>>,
}

impl Numbered {
    /// Numbers every label set that there is.
    #[must_use]
    pub fn new(identities: Identities) -> Self {
        let sets: BTreeSet<LabelSet> = identities
            .entries_with_world()
            .map(|(_, labels)| labels.clone())
            .collect();
        let mut taken = BTreeSet::new();
        let numbered = sets
            .into_iter()
            .map(|set| {
                let mut labels = texts(&set);
                let number = reserved(&labels).unwrap_or_else(|| free(&mut taken, hash(&labels)));
                if number == WORLD {
                    labels = whole_world(labels);
                }
                (set, Arc::new(Identity { number, labels }))
            })
            .collect();
        Self {
            identities,
            numbered,
        }
    }
}

impl Numbered {
    /// Without the numbers.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The identity of who has these labels.
    #[must_use]
    pub fn identity_of(&self, labels: &LabelSet) -> Arc<Identity> {
        match self.numbered.get(labels) {
            Some(identity) => Arc::clone(identity),
            None => Arc::new(Identity {
                number: 0,
                labels: texts(labels),
            }),
        }
    }

    /// Every label set that has a number.
    #[must_use]
    pub fn sets(&self, number: u32) -> Vec<&LabelSet> {
        let sets = self.numbered.iter();
        let sets = sets.filter(|(_, identity)| identity.number == number);
        sets.map(|(set, _)| set).collect()
    }

    /// The labels of who has an address.
    #[must_use]
    pub fn labels(&self, address: IpAddr) -> &LabelSet {
        self.identities.of(address)
    }
}

impl Identify for Numbered {
    fn identity(&self, address: IpAddr) -> Arc<Identity> {
        self.identity_of(self.identities.of(address))
    }

    fn pod(&self, address: IpAddr) -> Option<&str> {
        const PODS: [&str; 2] = ["Pod", "CiliumEndpoint"];
        let written = self.identities.written_of(address)?;
        let name = PODS.contains(&written.kind).then_some(written.name)?;
        Some(name.rsplit_once('/').map_or(name, |(_, name)| name))
    }
}

/// The label of the number: as in [`RESERVED`], no half of the world has one of its own.
fn whole_world(labels: Vec<String>) -> Vec<String> {
    const HALVES: [&str; 2] = ["reserved:world-ipv4", "reserved:world-ipv6"];
    let whole = |label: String| match HALVES.contains(&label.as_str()) {
        true => "reserved:world".to_owned(),
        false => label,
    };
    let labels: BTreeSet<_> = labels.into_iter().map(whole).collect();
    labels.into_iter().collect()
}

fn texts(labels: &LabelSet) -> Vec<String> {
    labels.as_slice().iter().map(ToString::to_string).collect()
}

/// The number that `hash` asks for, or the next that is not taken.
fn free(taken: &mut BTreeSet<u32>, hash: u32) -> u32 {
    let mut number = FIRST + hash % (LAST - FIRST + 1);
    // More sets than numbers: then two share one, which only reads worse.
    for _ in FIRST..=LAST {
        if taken.insert(number) {
            break;
        }
        number = if number == LAST { FIRST } else { number + 1 };
    }
    number
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
    use crate::policy::label::Label;

    /// Of `prefix label label…`.
    fn numbered<T: AsRef<str>>(entries: &[T]) -> Numbered {
        let entries = entries.iter().map(|entry| {
            let (prefix, labels) = entry.as_ref().split_once(' ').unwrap();
            let labels = labels.split(' ').map(Label::parse);
            (
                prefix.parse().unwrap(),
                Arc::new(labels.collect::<LabelSet>()),
            )
        });
        Numbered::new(Identities::new(entries))
    }

    #[test]
    fn reserved_sets_have_ciliums_numbers_and_names() {
        let numbered = numbered(&[
            "10.0.0.1/32 k8s:rack=1 reserved:host reserved:kube-apiserver",
            "10.0.0.2/32 reserved:kube-apiserver reserved:remote-node",
            "10.0.0.3/32 node:a=b reserved:remote-node",
        ]);
        for (address, number, name) in [
            ("10.0.0.1", 1, "host"),
            ("10.0.0.2", 7, "kube-apiserver"),
            ("10.0.0.3", 6, "remote-node"),
            ("192.0.2.1", 2, "world"),
            ("2001:db8::1", 2, "world"),
        ] {
            let identity = numbered.identity(address.parse().unwrap());
            assert_eq!((identity.number, identity.name().as_str()), (number, name));
        }
        let world = numbered.identity("192.0.2.1".parse().unwrap());
        assert_eq!(world.labels, ["reserved:world"]);
    }

    #[test]
    fn other_sets_have_numbers_of_their_own_that_stay() {
        let entries: Vec<_> = (0..2_000)
            .map(|i| format!("10.1.{}.{}/32 k8s:app=a{i}", i / 256, i % 256))
            .collect();
        let all = numbered(&entries);
        let numbers: BTreeSet<_> = (0..2_000)
            .map(|i| format!("10.1.{}.{}", i / 256, i % 256))
            .map(|address| all.identity(address.parse().unwrap()).number)
            .collect();
        assert_eq!(numbers.len(), 2_000);
        assert!(numbers.iter().all(|n| (FIRST..=LAST).contains(n)));

        let one = numbered(&entries[7..8]).identity("10.1.0.7".parse().unwrap());
        assert_eq!(
            one.number,
            FIRST + hash(&["k8s:app=a7".to_owned()]) % (LAST - FIRST + 1)
        );
        assert_eq!(one.name(), one.number.to_string());
    }
}
