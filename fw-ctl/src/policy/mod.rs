//! From policy files to flat rules.

pub mod label;
pub mod schema;
pub mod yaml;
