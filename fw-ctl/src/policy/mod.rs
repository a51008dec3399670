//! From policy files to flat rules.

pub mod decode;
pub mod label;
pub mod lint;
pub mod load;
pub mod rate;
pub mod rules;
pub mod schema;
pub mod selector;
pub mod yaml;
