//! `flow.proto`

use prost::{Enumeration, Message, Oneof};
use prost_types::Timestamp;

/// `Flow`
#[derive(Clone, PartialEq, Message)]
pub struct Flow {
    /// When.
    #[prost(message, optional, tag = "1")]
    pub time: Option<Timestamp>,
    /// Of this flow alone.
    #[prost(string, tag = "34")]
    pub uuid: String,
    /// What became of the packet.
    #[prost(enumeration = "Verdict", tag = "2")]
    pub verdict: i32,
    /// The same as `drop_reason_desc`, which came later.
    #[prost(uint32, tag = "3")]
    pub drop_reason: u32,
    /// Addresses.
    #[prost(message, optional, tag = "5")]
    pub ip: Option<Ip>,
    /// Ports and the like.
    #[prost(message, optional, tag = "6")]
    pub l4: Option<Layer4>,
    /// Sender.
    #[prost(message, optional, tag = "8")]
    pub source: Option<Endpoint>,
    /// Receiver.
    #[prost(message, optional, tag = "9")]
    pub destination: Option<Endpoint>,
    /// `L3_L4`
    #[prost(enumeration = "FlowType", tag = "10")]
    pub r#type: i32,
    /// `cluster/node`
    #[prost(string, tag = "11")]
    pub node_name: String,
    /// Labels of the node, as `key=value`.
    #[prost(string, repeated, tag = "37")]
    pub node_labels: Vec<String>,
    /// Which of Cilium's messages.
    #[prost(message, optional, tag = "19")]
    pub event_type: Option<CiliumEventType>,
    /// Towards the node or from it.
    #[prost(enumeration = "TrafficDirection", tag = "22")]
    pub traffic_direction: i32,
    /// Of a policy verdict: what it matched.
    #[prost(uint32, tag = "23")]
    pub policy_match_type: u32,
    /// Cilium's number of the reason.
    #[prost(int32, tag = "25")]
    pub drop_reason_desc: i32,
    /// Absent where nobody knows (`google.protobuf.BoolValue`).
    #[prost(message, optional, tag = "26")]
    pub is_reply: Option<bool>,
    /// Where.
    #[prost(message, optional, tag = "28")]
    pub interface: Option<NetworkInterface>,
    /// Who says so.
    #[prost(message, optional, tag = "41")]
    pub emitter: Option<Emitter>,
    /// In a few words.
    #[prost(string, tag = "100000")]
    pub summary: String,
    /// Policies that allow what leaves.
    #[prost(message, repeated, tag = "21001")]
    pub egress_allowed_by: Vec<Policy>,
    /// Policies that allow what arrives.
    #[prost(message, repeated, tag = "21002")]
    pub ingress_allowed_by: Vec<Policy>,
    /// Policies that deny what leaves.
    #[prost(message, repeated, tag = "21004")]
    pub egress_denied_by: Vec<Policy>,
    /// Policies that deny what arrives.
    #[prost(message, repeated, tag = "21005")]
    pub ingress_denied_by: Vec<Policy>,
    /// `log.value` of the policies that decided.
    #[prost(string, repeated, tag = "21006")]
    pub policy_log: Vec<String>,
}

/// `Emitter`
#[derive(Clone, PartialEq, Message)]
pub struct Emitter {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
}

/// `IP`
#[derive(Clone, PartialEq, Message)]
pub struct Ip {
    #[prost(string, tag = "1")]
    pub source: String,
    #[prost(string, tag = "2")]
    pub destination: String,
    #[prost(enumeration = "IpVersion", tag = "3")]
    pub version: i32,
}

/// `Layer4`
#[derive(Clone, PartialEq, Message)]
pub struct Layer4 {
    #[prost(oneof = "Protocol", tags = "1, 2, 3, 4, 5")]
    pub protocol: Option<Protocol>,
}

/// What is in a [`Layer4`].
#[derive(Clone, PartialEq, Oneof)]
pub enum Protocol {
    #[prost(message, tag = "1")]
    Tcp(Tcp),
    #[prost(message, tag = "2")]
    Udp(Ports),
    #[prost(message, tag = "3")]
    Icmpv4(Icmp),
    #[prost(message, tag = "4")]
    Icmpv6(Icmp),
    #[prost(message, tag = "5")]
    Sctp(Ports),
}

/// `TCP`
#[derive(Clone, PartialEq, Message)]
pub struct Tcp {
    #[prost(uint32, tag = "1")]
    pub source_port: u32,
    #[prost(uint32, tag = "2")]
    pub destination_port: u32,
    #[prost(message, optional, tag = "3")]
    pub flags: Option<TcpFlags>,
}

/// `UDP`, `SCTP`
#[derive(Clone, PartialEq, Message)]
pub struct Ports {
    #[prost(uint32, tag = "1")]
    pub source_port: u32,
    #[prost(uint32, tag = "2")]
    pub destination_port: u32,
}

/// `ICMPv4`, `ICMPv6`
#[derive(Clone, PartialEq, Message)]
pub struct Icmp {
    #[prost(uint32, tag = "1")]
    pub r#type: u32,
    #[prost(uint32, tag = "2")]
    pub code: u32,
}

/// `TCPFlags`
#[derive(Clone, PartialEq, Message)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "a header has that many flags"
)]
pub struct TcpFlags {
    #[prost(bool, tag = "1")]
    pub fin: bool,
    #[prost(bool, tag = "2")]
    pub syn: bool,
    #[prost(bool, tag = "3")]
    pub rst: bool,
    #[prost(bool, tag = "4")]
    pub psh: bool,
    #[prost(bool, tag = "5")]
    pub ack: bool,
    #[prost(bool, tag = "6")]
    pub urg: bool,
    #[prost(bool, tag = "7")]
    pub ece: bool,
    #[prost(bool, tag = "8")]
    pub cwr: bool,
    #[prost(bool, tag = "9")]
    pub ns: bool,
}

/// `Endpoint`
#[derive(Clone, PartialEq, Message)]
pub struct Endpoint {
    #[prost(uint32, tag = "1")]
    pub id: u32,
    #[prost(uint32, tag = "2")]
    pub identity: u32,
    #[prost(string, tag = "7")]
    pub cluster_name: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(string, repeated, tag = "4")]
    pub labels: Vec<String>,
    #[prost(string, tag = "5")]
    pub pod_name: String,
}

/// `CiliumEventType`
#[derive(Clone, PartialEq, Message)]
pub struct CiliumEventType {
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    #[prost(int32, tag = "2")]
    pub sub_type: i32,
}

/// `NetworkInterface`
#[derive(Clone, PartialEq, Message)]
pub struct NetworkInterface {
    #[prost(uint32, tag = "1")]
    pub index: u32,
    #[prost(string, tag = "2")]
    pub name: String,
}

/// `Policy`
#[derive(Clone, PartialEq, Message)]
pub struct Policy {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, repeated, tag = "3")]
    pub labels: Vec<String>,
    #[prost(uint64, tag = "4")]
    pub revision: u64,
    #[prost(string, tag = "5")]
    pub kind: String,
}

/// `LostEvent`
#[derive(Clone, PartialEq, Message)]
pub struct LostEvent {
    #[prost(enumeration = "LostEventSource", tag = "1")]
    pub source: i32,
    #[prost(uint64, tag = "2")]
    pub num_events_lost: u64,
    /// `google.protobuf.Int32Value`
    #[prost(message, optional, tag = "3")]
    pub cpu: Option<i32>,
}

/// `Workload`
#[derive(Clone, PartialEq, Message)]
pub struct Workload {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub kind: String,
}

/// `EventTypeFilter`
#[derive(Clone, PartialEq, Message)]
pub struct EventTypeFilter {
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    #[prost(bool, tag = "2")]
    pub match_sub_type: bool,
    #[prost(int32, tag = "3")]
    pub sub_type: i32,
}

/// `HTTPHeader`
#[derive(Clone, PartialEq, Message)]
pub struct HttpHeader {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `FlowFilter.Experimental`
#[derive(Clone, PartialEq, Message)]
pub struct Experimental {
    #[prost(string, repeated, tag = "1")]
    pub cel_expression: Vec<String>,
}

/// `FlowFilter`
#[derive(Clone, PartialEq, Message)]
pub struct FlowFilter {
    #[prost(string, repeated, tag = "29")]
    pub uuid: Vec<String>,
    #[prost(string, repeated, tag = "1")]
    pub source_ip: Vec<String>,
    #[prost(string, repeated, tag = "34")]
    pub source_ip_xlated: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub source_pod: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    pub source_fqdn: Vec<String>,
    #[prost(string, repeated, tag = "10")]
    pub source_label: Vec<String>,
    #[prost(string, repeated, tag = "16")]
    pub source_service: Vec<String>,
    #[prost(message, repeated, tag = "26")]
    pub source_workload: Vec<Workload>,
    #[prost(string, repeated, tag = "37")]
    pub source_cluster_name: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub destination_ip: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub destination_pod: Vec<String>,
    #[prost(string, repeated, tag = "8")]
    pub destination_fqdn: Vec<String>,
    #[prost(string, repeated, tag = "11")]
    pub destination_label: Vec<String>,
    #[prost(string, repeated, tag = "17")]
    pub destination_service: Vec<String>,
    #[prost(message, repeated, tag = "27")]
    pub destination_workload: Vec<Workload>,
    #[prost(string, repeated, tag = "38")]
    pub destination_cluster_name: Vec<String>,
    #[prost(enumeration = "TrafficDirection", repeated, tag = "30")]
    pub traffic_direction: Vec<i32>,
    #[prost(enumeration = "Verdict", repeated, tag = "5")]
    pub verdict: Vec<i32>,
    #[prost(int32, repeated, tag = "33")]
    pub drop_reason_desc: Vec<i32>,
    #[prost(message, repeated, tag = "35")]
    pub interface: Vec<NetworkInterface>,
    #[prost(message, repeated, tag = "6")]
    pub event_type: Vec<EventTypeFilter>,
    #[prost(string, repeated, tag = "9")]
    pub http_status_code: Vec<String>,
    #[prost(string, repeated, tag = "12")]
    pub protocol: Vec<String>,
    #[prost(string, repeated, tag = "13")]
    pub source_port: Vec<String>,
    #[prost(string, repeated, tag = "14")]
    pub destination_port: Vec<String>,
    #[prost(bool, repeated, tag = "15")]
    pub reply: Vec<bool>,
    #[prost(string, repeated, tag = "18")]
    pub dns_query: Vec<String>,
    #[prost(uint32, repeated, tag = "19")]
    pub source_identity: Vec<u32>,
    #[prost(uint32, repeated, tag = "20")]
    pub destination_identity: Vec<u32>,
    #[prost(string, repeated, tag = "21")]
    pub http_method: Vec<String>,
    #[prost(string, repeated, tag = "22")]
    pub http_path: Vec<String>,
    #[prost(string, repeated, tag = "31")]
    pub http_url: Vec<String>,
    #[prost(message, repeated, tag = "32")]
    pub http_header: Vec<HttpHeader>,
    #[prost(message, repeated, tag = "23")]
    pub tcp_flags: Vec<TcpFlags>,
    #[prost(string, repeated, tag = "24")]
    pub node_name: Vec<String>,
    #[prost(string, repeated, tag = "36")]
    pub node_labels: Vec<String>,
    #[prost(enumeration = "IpVersion", repeated, tag = "25")]
    pub ip_version: Vec<i32>,
    #[prost(string, repeated, tag = "28")]
    pub trace_id: Vec<String>,
    #[prost(uint64, repeated, tag = "39")]
    pub ip_trace_id: Vec<u64>,
    #[prost(bool, repeated, tag = "40")]
    pub encrypted: Vec<bool>,
    #[prost(message, optional, tag = "999")]
    pub experimental: Option<Experimental>,
}

/// `FlowType`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum FlowType {
    UnknownType = 0,
    L3L4 = 1,
}

/// `IPVersion`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum IpVersion {
    IpNotUsed = 0,
    Ipv4 = 1,
    Ipv6 = 2,
}

/// `Verdict`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum Verdict {
    Unknown = 0,
    Forwarded = 1,
    Dropped = 2,
    Error = 3,
    Audit = 4,
    Redirected = 5,
    Traced = 6,
    Translated = 7,
}

/// `TrafficDirection`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum TrafficDirection {
    Unknown = 0,
    Ingress = 1,
    Egress = 2,
}

/// `LostEventSource`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum LostEventSource {
    Unknown = 0,
    PerfEventRingBuffer = 1,
    ObserverEventsQueue = 2,
    HubbleRingBuffer = 3,
}
