//! The flat normal form: everything downstream sees only this, wherever the
//! policies came from.
//!
//! Cilium's distinctions between absent and empty (`pkg/policy/utils/parserules.go`),
//! its scopes, entities and CIDR groups are resolved here, once.

mod flatten;
mod unenforced;

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use fw_common::wire::Direction;
use ipnet::IpNet;

use super::label::LabelSet;
use super::rate::Rate;
use super::schema::{CidrGroup, LabelSelector};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::vlans::VlanSet;
pub use flatten::flatten;
pub(in crate::policy) use flatten::groups;

/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;
/// The protocols with ports, in the order of [`fw_common::wire::port_index`]:
/// TCP, UDP, SCTP.
pub const PORT_PROTOCOLS: [u8; 3] = [6, 17, 132];

/// Everything that is in force on one node.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Ingress, egress: indexed by [`Direction`].
    pub directions: [DirectionRules; 2],
}

/// The rules of one direction.
#[derive(Clone, Debug, Default)]
pub struct DirectionRules {
    /// What switches default deny on, in document order: the first item for all VLANs,
    /// and what comes before it for some.
    pub default_deny: Vec<Switch>,
    /// In document order: file, document, spec, list (allow first), item.
    pub rules: Vec<Rule>,
}

/// An item whose policy switches default deny on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The item.
    pub origin: Origin,
    /// In which VLANs; `None`: in all.
    pub vlans: Option<VlanSet>,
}

/// One item of a policy: these peers, these services, allow or deny.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whether it denies.
    pub deny: bool,
    /// Whom it means.
    pub peers: Peers,
    /// What it means.
    pub services: Services,
    /// How much it allows; `None`: without a limit. Never of a deny rule.
    pub rate: Option<Rate>,
    /// In which VLANs it holds; `None`: in all.
    pub vlans: Option<VlanSet>,
    /// Where it was written.
    pub origin: Origin,
}

/// The peers of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peers {
    /// Everybody.
    Any,
    /// Whoever one of them selects; of none: nobody.
    Only(Vec<PeerSelector>),
}

/// One way to select a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerSelector {
    /// By the labels of its identity. Scoped, and without spans.
    Labels(LabelSelector),
    /// By its address, if it is outside the cluster (and see [`CidrMatchMode`]).
    Cidr(CidrBlock),
    /// The same with all prefixes of a CIDR group.
    Group(GroupBlock),
}

/// A prefix without some parts of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CidrBlock {
    /// The prefix.
    pub cidr: IpNet,
    /// What is not meant; sorted.
    pub except: Vec<IpNet>,
}

impl CidrBlock {
    /// Whether an address is meant.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(&address) && !self.except.iter().any(|part| part.contains(&address))
    }
}

/// The prefixes of a CIDR group without some parts of them. Equal are those of one
/// group: a million prefixes are never compared.
#[derive(Clone, Debug)]
pub struct GroupBlock {
    /// The group.
    pub group: Arc<CidrGroup>,
    /// What is not meant; sorted.
    pub except: Vec<IpNet>,
}

impl GroupBlock {
    /// The longest prefix of the group that means an address, with its line.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<(IpNet, u32)> {
        if self.except.iter().any(|part| part.contains(&address)) {
            return None;
        }
        self.group.prefixes.find(address, self.group.now)
    }

    /// The prefixes of which something is meant, with their lines.
    pub fn live(&self) -> impl Iterator<Item = (IpNet, u32)> {
        let excepted = |prefix: &IpNet| self.except.iter().any(|part| part.contains(prefix));
        self.group
            .live()
            .filter(move |(prefix, _)| !excepted(prefix))
    }
}

impl PartialEq for GroupBlock {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.group, &other.group) && self.except == other.except
    }
}

impl Eq for GroupBlock {}

impl Hash for GroupBlock {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.group).hash(state);
        self.except.hash(state);
    }
}

/// Which identities CIDR rules may match (Cilium's `policy-cidr-match-mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CidrMatchMode {
    /// Only those outside the cluster.
    #[default]
    World,
    /// Remote nodes, too.
    Nodes,
}

impl CidrMatchMode {
    /// Whether a CIDR rule may match an identity with these labels.
    #[must_use]
    pub fn admits(self, labels: &LabelSet) -> bool {
        labels.is_world() || (self == Self::Nodes && labels.is_remote_node())
    }
}

impl Peers {
    /// Whether a peer is meant.
    #[must_use]
    pub fn matches(&self, address: IpAddr, labels: &LabelSet, mode: CidrMatchMode) -> bool {
        match self {
            Self::Any => true,
            Self::Only(selectors) => selectors.iter().any(|selector| match selector {
                PeerSelector::Labels(selector) => selector.matches(labels),
                PeerSelector::Cidr(block) => mode.admits(labels) && block.contains(address),
                PeerSelector::Group(block) => mode.admits(labels) && block.find(address).is_some(),
            }),
        }
    }
}

/// The services of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Services {
    /// Every IP protocol.
    All,
    /// One of them; of none: nothing.
    Only(Vec<ServiceRange>),
}

/// Some services of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceRange {
    /// Destination ports of TCP, UDP or SCTP: first and last, both meant.
    Ports {
        /// IP protocol number, one of [`PORT_PROTOCOLS`].
        protocol: u8,
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// One type of ICMP.
    Icmp(u8),
    /// One type of ICMPv6.
    Icmpv6(u8),
    /// A whole protocol without ports.
    Protocol(u8),
}

/// What one packet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// A destination port of TCP, UDP or SCTP.
    Port {
        /// IP protocol number, one of [`PORT_PROTOCOLS`].
        protocol: u8,
        /// Destination port.
        port: u16,
    },
    /// A type of ICMP.
    Icmp(u8),
    /// A type of ICMPv6.
    Icmpv6(u8),
    /// Another protocol.
    Protocol(u8),
}

impl ServiceRange {
    /// Whether a service lies in the range.
    #[must_use]
    pub fn contains(self, service: Service) -> bool {
        match (self, service) {
            (
                Self::Ports {
                    protocol: meant,
                    first,
                    last,
                },
                Service::Port { protocol, port },
            ) => meant == protocol && (first..=last).contains(&port),
            (Self::Icmp(meant), Service::Icmp(icmp_type))
            | (Self::Icmpv6(meant), Service::Icmpv6(icmp_type)) => meant == icmp_type,
            (Self::Protocol(meant), Service::Protocol(protocol)) => meant == protocol,
            _ => false,
        }
    }

    /// Some service in the range.
    #[must_use]
    pub fn example(self) -> Service {
        match self {
            Self::Ports {
                protocol, first, ..
            } => Service::Port {
                protocol,
                port: first,
            },
            Self::Icmp(icmp_type) => Service::Icmp(icmp_type),
            Self::Icmpv6(icmp_type) => Service::Icmpv6(icmp_type),
            Self::Protocol(protocol) => Service::Protocol(protocol),
        }
    }
}

impl Services {
    /// Whether a service is meant.
    #[must_use]
    pub fn contains(&self, service: Service) -> bool {
        match self {
            Self::All => true,
            Self::Only(ranges) => ranges.iter().any(|range| range.contains(service)),
        }
    }
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the policy.
    pub policy: Arc<str>,
    /// `ingress[0]`, `specs[1].egressDeny[2]`.
    pub rule: String,
    /// The file.
    pub source: Arc<Source>,
    /// The item.
    pub span: Span,
    /// `log.value` of its spec; empty: none.
    pub log: String,
}

impl Origin {
    /// `path:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.source.name, self.span.line)
    }
}

/// What flattening needs to know of the node and its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Labels of the node: `k8s:…` and `reserved:host`.
    pub node: &'a LabelSet,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Every CIDR group, from policies and inventory.
    pub groups: &'a [Arc<CidrGroup>],
}

/// Whom a spec of a policy protects, seen from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// This node.
    Selected,
    /// Other nodes.
    OtherNodes,
    /// Pods: no subject on this host.
    NoSubject,
}

/// One spec of a policy document, for lists.
#[derive(Clone, Debug)]
pub struct SpecSummary {
    /// Name of the policy.
    pub policy: Arc<str>,
    /// `spec` or `specs[2]`.
    pub spec: String,
    /// `path:line`.
    pub origin: String,
    /// Whom it protects.
    pub selection: Selection,
    /// Items in `ingress`, `ingressDeny`, `egress` and `egressDeny`.
    pub items: [usize; 4],
}

/// What became of the documents.
#[derive(Clone, Debug, Default)]
pub struct Flattened {
    /// The rules; not to be used if a diagnostic is an error.
    pub rules: RuleSet,
    /// Every spec of every document.
    pub specs: Vec<SpecSummary>,
    /// Errors: selected policies that use what is not enforced.
    pub diagnostics: Vec<Diagnostic>,
}

impl RuleSet {
    /// The rules of one direction.
    #[must_use]
    pub fn direction(&self, direction: Direction) -> &DirectionRules {
        &self.directions[direction as usize]
    }
}
