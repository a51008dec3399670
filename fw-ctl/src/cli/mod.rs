//! The commands.

pub mod validate;
