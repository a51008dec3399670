//! From flat rules and the inventory to a plan.

pub mod plan;
