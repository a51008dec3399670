//! How fast `fw-ctl` is, beside what else firewalls a Linux host.
//!
//! From the packet to the report: [`generator`] sends packets from within the
//! kernel, [`scenario`] says which packets and by which policy they are judged,
//! [`peer`] is who judges them, [`mod@reference`] tells the machine's speed beside each, [`sample`] is what one measurement says, [`bench`]
//! walks over all of them round by round, and [`report`] makes them readable. [`guest`]
//! and [`pktgen`] measure through a driver, in an emulated machine.
//! [`plans`] serves the benchmarks of the compiler and of single verdicts
//! (`cargo bench`), [`budget`] the limits that tests hold.

#![allow(
    clippy::cast_precision_loss,
    reason = "packets and nanoseconds of a run are far below 2^52"
)]

pub mod bench;
pub mod bpf;
pub mod budget;
pub mod counters;
pub mod error;
pub mod generator;
pub mod guest;
pub mod latency;
pub mod lists;
pub mod machine;
pub mod peer;
pub mod pktgen;
pub mod plans;
pub mod realtime;
pub mod reference;
pub mod report;
pub mod sample;
pub mod scenario;
pub mod statistics;

pub use error::{Error, Result};
pub use plans::{NODE, allowing, cidr, frame, group, plan, rules, syn};
