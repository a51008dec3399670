//! The library behind the `fw-ctl` binary.

pub mod cli;
pub mod compile;
pub mod config;
pub mod control;
pub mod daemon;
pub mod datapath;
pub mod diagnostic;
pub mod doctor;
pub mod engine;
pub mod ethtool;
pub mod exit;
mod glob;
pub mod inventory;
pub mod lists;
pub mod lookup;
pub mod moment;
pub mod netlink;
pub mod observe;
pub mod policy;
pub mod printable;
mod ranges;
pub mod reference;
pub mod texts;
pub mod trace;
pub mod vlans;
mod why;
