//! Policy documents as they were written, decoded and validated, with the place
//! of everything that a later message may need to point at.
//!
//! This is the whole schema of `CiliumNetworkPolicy` and
//! `CiliumClusterwideNetworkPolicy` (Cilium 1.19, `pkg/policy/api`). Whether a
//! field is enforced is not decided here but in [`super::rules`].
//!
//! Absent and empty differ in Cilium, and so they do here: `None` is absent (or
//! `null`), `Some(vec![])` is an empty list, which selects nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::label::LabelKey;
use super::rate::Rate;
use crate::diagnostic::{Source, Span, Spanned};
use crate::lists::Prefixes;
use crate::lists::moment::Moment;
use crate::vlans::VlanSet;

/// Which kind of policy object a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// `CiliumNetworkPolicy`: namespaced, never selects a node.
    Namespaced,
    /// `CiliumClusterwideNetworkPolicy`.
    Clusterwide,
}

/// One accepted policy object.
#[derive(Clone, Debug)]
pub struct PolicyDocument {
    /// The file.
    pub source: Arc<Source>,
    /// Number of the document in its file, from 0.
    pub index: usize,
    /// The kind.
    pub kind: PolicyKind,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; `None` for clusterwide policies.
    pub namespace: Option<String>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, Spanned<String>>,
    /// The annotation `fw-ctl.io/rate`: limits what `ingress` allows.
    pub rate: Option<Spanned<Rate>>,
    /// The annotation `fw-ctl.io/vlans`: where all of it holds; `None`: in every VLAN.
    pub vlans: Option<Spanned<VlanSet>>,
    /// Where the document begins.
    pub span: Span,
    /// `spec` first, then `specs` in order.
    pub specs: Vec<Spec>,
}

/// One entry of `spec`/`specs` (Cilium calls it a rule).
#[derive(Clone, Debug)]
pub struct Spec {
    /// `spec` or `specs[2]`.
    pub path: String,
    /// Where it begins.
    pub span: Span,
    /// Whom it protects.
    pub subject: Subject,
    /// `enableDefaultDeny.ingress`.
    pub default_deny_ingress: Option<bool>,
    /// `enableDefaultDeny.egress`.
    pub default_deny_egress: Option<bool>,
    /// `ingress`; empty when absent or empty (Cilium makes no difference here).
    pub ingress: Vec<Item>,
    /// `ingressDeny`.
    pub ingress_deny: Vec<Item>,
    /// `egress`.
    pub egress: Vec<Item>,
    /// `egressDeny`.
    pub egress_deny: Vec<Item>,
    /// `description`.
    pub description: Option<String>,
    /// `log.value`.
    pub log: Option<String>,
}

/// Whom a spec selects.
#[derive(Clone, Debug)]
pub enum Subject {
    /// `nodeSelector`.
    Nodes(LabelSelector),
    /// `endpointSelector`: no subject on this host.
    Endpoints(LabelSelector),
}

/// One item of `ingress`, `ingressDeny`, `egress` or `egressDeny`.
///
/// The peer fields carry the `from…` or the `to…` twin, by direction. At most
/// one of them is non-empty (Cilium refuses combinations).
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// `spec.ingress[0]`.
    pub path: String,
    /// Where the item begins.
    pub span: Span,
    /// `fromEndpoints`, `toEndpoints`, as written (without Cilium's scoping).
    pub endpoints: Option<Vec<LabelSelector>>,
    /// `fromEntities`, `toEntities`.
    pub entities: Option<Vec<Spanned<Entity>>>,
    /// `fromCIDR`, `toCIDR`; host bits are masked off.
    pub cidr: Option<Vec<Spanned<IpNet>>>,
    /// `fromCIDRSet`, `toCIDRSet`.
    pub cidr_set: Option<Vec<CidrRule>>,
    /// `fromNodes`, `toNodes`, as written.
    pub nodes: Option<Vec<LabelSelector>>,
    /// `fromGroups`, `toGroups` (cloud providers; never enforced here).
    pub groups: Option<Vec<Span>>,
    /// `toServices`.
    pub services: Option<Vec<Span>>,
    /// `toFQDNs`.
    pub fqdns: Option<Vec<Spanned<FqdnSelector>>>,
    /// `toPorts`.
    pub to_ports: Option<Vec<PortRule>>,
    /// `icmps`.
    pub icmps: Option<Vec<IcmpRule>>,
    /// `authentication.mode`.
    pub authentication: Option<Spanned<String>>,
}

/// A Kubernetes label selector with Cilium's key grammar. No requirement: matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    /// Where it was written.
    pub span: Span,
    /// All must hold. `matchLabels` come first, as `In` with one value.
    pub requirements: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// Which label.
    pub key: LabelKey,
    /// What must be true of it.
    pub operator: Operator,
    /// Where it was written.
    pub span: Span,
}

/// The four operators of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label is there with one of the values.
    In(Vec<String>),
    /// The label is absent or has another value.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// Cilium's entities (`pkg/policy/api/entity.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Entity {
    All,
    World,
    WorldIpv4,
    WorldIpv6,
    Cluster,
    ClusterMesh,
    Host,
    Init,
    Ingress,
    Unmanaged,
    RemoteNode,
    Health,
    None,
    KubeApiserver,
}

/// One entry of `fromCIDRSet`/`toCIDRSet`.
#[derive(Clone, Debug)]
pub struct CidrRule {
    /// Where it begins.
    pub span: Span,
    /// What it names.
    pub selector: CidrSelector,
    /// `except`: parts of it that are not meant.
    pub except: Vec<Spanned<IpNet>>,
}

/// Exactly one of the three forms.
#[derive(Clone, Debug)]
pub enum CidrSelector {
    /// `cidr`.
    Cidr(Spanned<IpNet>),
    /// `cidrGroupRef`: name of a `CiliumCIDRGroup`.
    Group(Spanned<String>),
    /// `cidrGroupSelector`: labels of `CiliumCIDRGroup`s.
    GroupSelector(LabelSelector),
}

/// One entry of `toFQDNs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FqdnSelector {
    /// `matchName`.
    Name(String),
    /// `matchPattern`.
    Pattern(String),
}

/// One entry of `toPorts`.
#[derive(Clone, Debug, Default)]
pub struct PortRule {
    /// Where it begins.
    pub span: Span,
    /// `ports`; empty when absent or empty: then the rule matches nothing.
    pub ports: Vec<PortProtocol>,
    /// L7 `rules` that are not empty, as `http`, `dns`, …, with their place.
    pub l7: Vec<Spanned<&'static str>>,
    /// `terminatingTLS`, `originatingTLS`, `serverNames`, `listener`, with their place.
    pub proxy: Vec<Spanned<&'static str>>,
}

/// One entry of `ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortProtocol {
    /// Where it begins.
    pub span: Span,
    /// The port or ports.
    pub port: Port,
    /// The protocol; absent is `Any`.
    pub protocol: Protocol,
}

/// The ports that a [`PortProtocol`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// `"0"` or absent: every port, or the whole protocol.
    All,
    /// First and last port, both meant; equal for a single port.
    Range(u16, u16),
    /// A service name. Matches nothing in a host policy.
    Named(String),
}

/// The protocols that `toPorts` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, UDP and SCTP; never ICMP or another protocol.
    Any,
    /// A protocol by its IP protocol number: TCP 6, UDP 17, SCTP 132, VRRP 112,
    /// IGMP 2, GRE 47, IPIP 4, IPV6 41, ESP 50, AH 51.
    Number(u8),
}

/// One entry of `icmps`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IcmpRule {
    /// `fields`; empty: matches nothing.
    pub fields: Vec<IcmpField>,
}

/// One ICMP type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpField {
    /// Where it begins.
    pub span: Span,
    /// ICMPv6 instead of ICMP.
    pub v6: bool,
    /// The type. Unlike in Cilium, 0 means type 0 (echo reply) only.
    pub icmp_type: u8,
}

/// A `CiliumCIDRGroup`, or a plain list, which is one without labels.
#[derive(Clone, Debug)]
pub struct CidrGroup {
    /// `metadata.name`, or the name of the file.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// Where the object begins in it, from 1; `None` of a plain list.
    pub line: Option<u32>,
    /// `spec.externalCIDRs`, or the lines of the list, expired or not.
    pub prefixes: Arc<Prefixes>,
    /// What has expired by then means nobody.
    pub now: Moment,
}

impl CidrGroup {
    /// Every prefix that has not expired, with its line.
    pub fn live(&self) -> impl Iterator<Item = (IpNet, u32)> {
        self.prefixes.iter(self.now)
    }

    /// Where it is written, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.to_string(),
        }
    }
}
