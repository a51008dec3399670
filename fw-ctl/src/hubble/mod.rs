//! Hubble's API on a socket of its own, so that the `hubble` client works as it is: flows of the
//! past and as they happen, with its filters and field masks.
//!
//! The same history and the same filters as those of `fw-ctl observe`; only the words differ.

mod connection;
mod feed;
mod filters;
mod flows;
mod mask;
mod proto;
mod server;
mod service;

pub use server::serve;

#[cfg(test)]
mod tests;
