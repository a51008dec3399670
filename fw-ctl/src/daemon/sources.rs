//! From the operator's files to a plan.

use super::{Compiled, Sources};
use crate::cli::args;
use crate::config::{Config, Overrides};
use crate::diagnostic::Diagnostic;

/// The files that the command line and the configuration name.
pub struct Files {
    /// The highest layer of the configuration.
    pub overrides: Overrides,
}

impl Sources for Files {
    fn config(&self) -> Result<Config, Vec<Diagnostic>> {
        args::load(&self.overrides).map(|loaded| loaded.config)
    }

    fn compile(&self, config: &Config) -> Result<Compiled, Vec<Diagnostic>> {
        compile(config)
    }
}

/// Reads the policies and the inventory of `config`, and compiles them.
///
/// # Errors
/// Everything that is wrong with them.
pub fn compile(_config: &Config) -> Result<Compiled, Vec<Diagnostic>> {
    todo!()
}
