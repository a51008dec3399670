//! What a monitoring system asks for: numbers of the daemon and the kernel, at `/metrics` in
//! Prometheus' format and in `OpenMetrics`, and whether all is well at `/healthz`.
//!
//! The daemon answers with [`Numbers`]; how they are called is said once, in `definitions.rs`.

mod answers;
mod compat;
mod definitions;
mod families;
mod family;
mod histogram;
mod listening;
mod numbers;
mod server;
mod text;

pub use answers::Source;
pub use definitions::{CILIUM, OWN};
pub use families::families;
pub use family::{Definition, Family, Kind, Sample};
pub use histogram::Histogram;
pub use listening::Listening;
pub use numbers::{InterfaceNumbers, MapNumbers, Numbers, PacketNumbers, RuleNumbers};
pub use server::{Server, serve};
pub use text::{Format, render};

#[cfg(test)]
mod shipped_tests;
