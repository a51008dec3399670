//! `fw-ctl completions`

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::output::{Outcome, print};
use crate::exit;

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fw-ctl", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(exit::OK)
}
