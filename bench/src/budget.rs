//! The limits of `bench/budget.toml` that tests and `bench --check` hold.
//!
//! Instructions and ratios only: absolute times are of one machine, one hour.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, Result};

/// All limits.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// By name of the scenario: at most as many times the receive cost of the bare
    /// `XDP_DROP` in the same run, by `fw-ctl (XDP)`.
    #[serde(default)]
    pub ratio_to_drop: BTreeMap<String, f64>,
    /// Bytes of stack of the deepest function, by name of the program.
    /// `fw-ctl/tests/kernel/budget.rs` holds these and the following.
    pub stack: BTreeMap<String, u32>,
    /// By the beginning of a kernel's release, then by name of the program.
    pub kernel: BTreeMap<String, BTreeMap<String, Program>>,
}

/// What a program may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Instructions that the verifier goes through.
    pub verified: u32,
    /// Bytes of its instructions after the verifier's rewriting.
    pub size: u32,
}

impl Budget {
    /// `bench/budget.toml`, as it was when this was built: in a guest there are no sources.
    ///
    /// # Errors
    /// It is not as it should be.
    pub fn read() -> Result<Self> {
        toml_edit::de::from_str(include_str!("../budget.toml"))
            .map_err(|error| Error::Unfit(format!("bench/budget.toml: {error}")))
    }
}
