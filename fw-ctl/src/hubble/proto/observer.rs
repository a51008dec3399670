//! `observer.proto`, and of `relay.proto` what it needs.

use prost::{Enumeration, Message, Oneof};
use prost_types::{FieldMask, Timestamp};

use super::flow::{Flow, FlowFilter, LostEvent};

/// `GetFlowsRequest`
#[derive(Clone, PartialEq, Message)]
pub struct GetFlowsRequest {
    /// So many flows of the past; 0: all.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// The oldest, not the newest.
    #[prost(bool, tag = "9")]
    pub first: bool,
    /// And what is to come.
    #[prost(bool, tag = "3")]
    pub follow: bool,
    /// None of these may match.
    #[prost(message, repeated, tag = "5")]
    pub blacklist: Vec<FlowFilter>,
    /// One of these must, if there are any.
    #[prost(message, repeated, tag = "6")]
    pub whitelist: Vec<FlowFilter>,
    /// Not before.
    #[prost(message, optional, tag = "7")]
    pub since: Option<Timestamp>,
    /// Not after.
    #[prost(message, optional, tag = "8")]
    pub until: Option<Timestamp>,
    /// What of a flow is told; absent: everything.
    #[prost(message, optional, tag = "10")]
    pub field_mask: Option<FieldMask>,
    /// Where older clients have the mask.
    #[prost(message, optional, tag = "999")]
    pub experimental: Option<Experimental>,
}

/// `GetFlowsRequest.Experimental`
#[derive(Clone, PartialEq, Message)]
pub struct Experimental {
    /// See [`GetFlowsRequest::field_mask`].
    #[prost(message, optional, tag = "1")]
    pub field_mask: Option<FieldMask>,
}

/// `GetFlowsResponse`
#[derive(Clone, PartialEq, Message)]
pub struct GetFlowsResponse {
    /// A flow, or something about flows.
    #[prost(oneof = "Told", tags = "1, 3")]
    pub told: Option<Told>,
    /// `cluster/node`
    #[prost(string, tag = "1000")]
    pub node_name: String,
    /// When.
    #[prost(message, optional, tag = "1001")]
    pub time: Option<Timestamp>,
}

/// `GetFlowsResponse.response_types`
#[derive(Clone, PartialEq, Oneof)]
pub enum Told {
    /// A flow.
    #[prost(message, tag = "1")]
    Flow(Box<Flow>),
    /// Flows that are not told.
    #[prost(message, tag = "3")]
    LostEvents(LostEvent),
}

/// `ServerStatusRequest`, `GetNodesRequest`, `GetNamespacesRequest`
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// `ServerStatusResponse`
#[derive(Clone, PartialEq, Message)]
pub struct ServerStatusResponse {
    #[prost(uint64, tag = "1")]
    pub num_flows: u64,
    #[prost(uint64, tag = "2")]
    pub max_flows: u64,
    #[prost(uint64, tag = "3")]
    pub seen_flows: u64,
    #[prost(uint64, tag = "4")]
    pub uptime_ns: u64,
    /// `google.protobuf.UInt32Value`
    #[prost(message, optional, tag = "5")]
    pub num_connected_nodes: Option<u32>,
    #[prost(string, tag = "8")]
    pub version: String,
    /// Flows a second, of the last minute.
    #[prost(double, tag = "9")]
    pub flows_rate: f64,
}

/// `GetNodesResponse`
#[derive(Clone, PartialEq, Message)]
pub struct GetNodesResponse {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<Node>,
}

/// `Node`
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(string, tag = "3")]
    pub address: String,
    #[prost(enumeration = "NodeState", tag = "4")]
    pub state: i32,
    #[prost(uint64, tag = "6")]
    pub uptime_ns: u64,
    #[prost(uint64, tag = "7")]
    pub num_flows: u64,
    #[prost(uint64, tag = "8")]
    pub max_flows: u64,
    #[prost(uint64, tag = "9")]
    pub seen_flows: u64,
}

/// `relay.NodeState`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum NodeState {
    Unknown = 0,
    Connected = 1,
}

/// `GetNamespacesResponse`
#[derive(Clone, PartialEq, Message)]
pub struct GetNamespacesResponse {
    #[prost(message, repeated, tag = "1")]
    pub namespaces: Vec<Namespace>,
}

/// `Namespace`
#[derive(Clone, PartialEq, Message)]
pub struct Namespace {
    #[prost(string, tag = "1")]
    pub cluster: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
}
