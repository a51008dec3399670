//! `grpc.health.v1`: what `hubble status` asks first.

use prost::{Enumeration, Message};

/// `HealthCheckRequest`
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckRequest {
    /// A name of a service; empty: the server.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// `HealthCheckResponse`
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub status: i32,
}

/// `HealthCheckResponse.ServingStatus`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum ServingStatus {
    Unknown = 0,
    Serving = 1,
}
