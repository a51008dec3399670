//! Agent events: of `flow.proto` and `observer.proto` what is told here.

use prost::{Enumeration, Message, Oneof};
use prost_types::Timestamp;

/// `GetAgentEventsRequest`; as [`super::observer::GetFlowsRequest`] without filters.
#[derive(Clone, PartialEq, Message)]
pub struct GetAgentEventsRequest {
    #[prost(uint64, tag = "1")]
    pub number: u64,
    #[prost(bool, tag = "9")]
    pub first: bool,
    #[prost(bool, tag = "2")]
    pub follow: bool,
    #[prost(message, optional, tag = "7")]
    pub since: Option<Timestamp>,
    #[prost(message, optional, tag = "8")]
    pub until: Option<Timestamp>,
}

/// `GetAgentEventsResponse`
#[derive(Clone, PartialEq, Message)]
pub struct GetAgentEventsResponse {
    #[prost(message, optional, tag = "1")]
    pub agent_event: Option<AgentEvent>,
    /// `cluster/node`
    #[prost(string, tag = "1000")]
    pub node_name: String,
    #[prost(message, optional, tag = "1001")]
    pub time: Option<Timestamp>,
}

/// `AgentEvent`
#[derive(Clone, PartialEq, Message)]
pub struct AgentEvent {
    #[prost(enumeration = "AgentEventType", tag = "1")]
    pub r#type: i32,
    #[prost(oneof = "Notification", tags = "101, 102")]
    pub notification: Option<Notification>,
}

/// What is in an [`AgentEvent`].
#[derive(Clone, PartialEq, Oneof)]
pub enum Notification {
    #[prost(message, tag = "101")]
    AgentStart(TimeNotification),
    #[prost(message, tag = "102")]
    PolicyUpdate(PolicyUpdateNotification),
}

/// `TimeNotification`
#[derive(Clone, PartialEq, Message)]
pub struct TimeNotification {
    #[prost(message, optional, tag = "1")]
    pub time: Option<Timestamp>,
}

/// `PolicyUpdateNotification`
#[derive(Clone, PartialEq, Message)]
pub struct PolicyUpdateNotification {
    #[prost(string, repeated, tag = "1")]
    pub labels: Vec<String>,
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    #[prost(int64, tag = "3")]
    pub rule_count: i64,
}

/// `AgentEventType`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum AgentEventType {
    Unknown = 0,
    AgentStarted = 2,
    PolicyUpdated = 3,
    PolicyDeleted = 4,
}
