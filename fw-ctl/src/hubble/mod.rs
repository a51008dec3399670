//! Hubble's API on a socket of its own, so that the `hubble` client works as it is: flows of the
//! past and as they happen, with its filters and field masks. Where it is configured, to other
//! machines too, by mutual TLS.
//!
//! The same history and the same filters as those of `fw-ctl observe`; only the words differ.

mod agent;
mod connection;
mod feed;
mod filters;
mod flows;
mod mask;
mod proto;
mod schema;
mod server;
mod service;
mod tcp;
mod tls;

pub use server::serve;
pub use tcp::{Remote, serve_remote};

#[cfg(test)]
mod tests;
