//! Who is who: addresses, their identities, and CIDR groups.
//!
//! The inventory is Kubernetes objects, from `kubectl get … -o yaml` or written
//! by hand, our own `AddressIdentities`, and plain lists of prefixes
//! ([`crate::lists`]). [`load`] reads files to an [`Inventory`]; [`Inventory::view`] is
//! what one node sees of it.

mod addresses;
mod explicit;
mod fields;
mod groups;
mod identities;
mod load;
mod object;
mod place;
mod view;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use identities::{Beside, Claim, How, Identities, longest_prefix};
pub use load::{Loaded, load, load_sources, read};
pub use place::{Objects, Place, Written};
pub use view::NodeView;

use crate::policy::label::LabelSet;
use crate::policy::schema::CidrGroup;

/// Labels of a Kubernetes object.
pub type Labels = BTreeMap<String, String>;

/// Everything that the objects say.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// `Node` and `CiliumNode` by name.
    pub nodes: BTreeMap<String, Node>,
    /// Labels of `Namespace`s by name.
    pub namespaces: BTreeMap<String, Labels>,
    /// `Pod`s that have an address of their own.
    pub pods: Vec<Pod>,
    /// `CiliumEndpoint`s: addresses and the labels that Cilium itself gave.
    pub endpoints: Vec<Endpoint>,
    /// Addresses of the API server, from `default/kubernetes`.
    pub api_server: Vec<Placed>,
    /// `CiliumCIDRGroup`s and plain lists.
    pub cidr_groups: Vec<Arc<CidrGroup>>,
    /// Entries of `AddressIdentities`, in order.
    pub explicit: Vec<Claim>,
    /// What places of addresses refer to.
    pub objects: Arc<Objects>,
}

/// An address, and where an object says that it is somebody's.
pub type Placed = (IpAddr, Place);

/// A node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `metadata.labels`.
    pub labels: Labels,
    /// Every address of it, of any type.
    pub addresses: Vec<Placed>,
    /// Addresses of its health endpoint (`CiliumNode`).
    pub health: Vec<Placed>,
    /// Addresses of its ingress proxy (`CiliumNode`).
    pub ingress: Vec<Placed>,
}

/// A pod with addresses of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `spec.serviceAccountName`.
    pub service_account: String,
    /// `status.podIPs`.
    pub addresses: Vec<IpAddr>,
    /// Where it begins.
    pub place: Place,
}

/// A `CiliumEndpoint` that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `status.networking.addressing`.
    pub addresses: Vec<IpAddr>,
    /// `status.identity.labels`.
    pub labels: Arc<LabelSet>,
    /// Where it begins.
    pub place: Place,
}
