//! The same decision on the host: tables as collections, frames as slices.
//!
//! Used by tests, by `policy test --engine model`, by `trace` and by benchmarks.

mod frame;
mod peers;
mod tables;

pub use frame::{HeaderlessSlice, SliceFrame};
pub use peers::PeerTables;
pub use tables::{Model, ModelTables};
