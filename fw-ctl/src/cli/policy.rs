//! `fw-ctl policy …`: what needs neither root nor a daemon.

use clap::Subcommand;

use super::output::Outcome;
use super::validate::{self, ValidateArgs};

/// The commands below `policy`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say whether policies are acceptable; exit 3 when one is not
    Validate(ValidateArgs),
}

/// Does what the command says.
///
/// # Errors
/// When stdout or stderr cannot be written.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::Validate(args) => Ok(validate::run(args)),
    }
}
