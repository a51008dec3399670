//! The library behind the `fw-ctl` binary.

pub mod compile;
pub mod datapath;
pub mod diagnostic;
pub mod inventory;
pub mod policy;
