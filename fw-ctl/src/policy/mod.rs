//! From policy files to flat rules.

pub mod label;
pub mod lint;
pub mod rules;
pub mod schema;
pub mod selector;
pub mod yaml;
