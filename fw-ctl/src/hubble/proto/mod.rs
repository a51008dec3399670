//! Messages of Hubble's API as they are on the wire: packages, names and field numbers are
//! those of Cilium 1.19 (`api/v1/{flow,observer,peer,relay}`) and of `grpc.health.v1`.
//!
//! What the API has and a host firewall never says is left out. A client takes a field that is
//! not there for its zero; a condition of a filter that is not known here would be ignored,
//! so all of those are there.

pub mod agent;
pub mod flow;
pub mod health;
pub mod observer;
pub mod peer;
