//! `fw-ctl top`: what is counted and reported, as rates.
//!
//! Two kinds of numbers, which are never mixed: rates by rule and by reason come from the
//! kernel's counters, and are of every packet; rates by source, port and interface come from
//! what the datapath reports, which is the first packet of a connection or flow and a bounded number of
//! drops ([`crate::observe`]).
//!
//! [`feed`] asks the daemon, [`state`] makes a [`view::View`] of the answers, [`tables`] says what
//! stands in which column, [`draw`] puts that on a terminal and [`batch`] into lines; [`run`] is
//! the loop between keys and terminal.

pub mod batch;
pub mod draw;
pub mod feed;
mod fit;
mod keys;
mod number;
pub mod run;
pub mod state;
pub mod tables;
mod tally;
pub mod view;

#[cfg(test)]
mod fixture;
