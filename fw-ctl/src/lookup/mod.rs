//! From prefixes to the tables that `fw_common::lookup` reads, and back.
//!
//! `prefixes → `[`Runs`]` → `[`PeerTables`]: nested prefixes become runs of one class
//! each, which is all that matters to a packet; runs are laid out as tables. And
//! [`read`] finds the runs in tables that came back from the kernel, so that they
//! are compared by what they mean, however they are laid out.

mod build;
mod differ;
mod read;
mod runs;

pub use build::{RUNS_THAT_FIT, TooLarge, build};
pub use fw_common::model::PeerTables;
pub use read::read;
pub use runs::Runs;
