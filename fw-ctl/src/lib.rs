//! The library behind the `fw-ctl` binary.

pub mod cli;
pub mod compile;
pub mod diagnostic;
pub mod engine;
pub mod inventory;
pub mod policy;
pub mod reference;
