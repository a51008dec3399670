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
    let script = String::from_utf8_lossy(&script);
    let script = match args.shell {
        Shell::Bash => mended(&script),
        _ => script.into_owned(),
    };
    print(script.trim_end())?;
    Ok(exit::OK)
}

/// `clap_complete` 4.6 spells the hyphen of `fw-ctl` in two ways: where a word is read the
/// command becomes `fw__ctl__subcmd__trace`, and its flags stand under
/// `fw__subcmd__ctl__subcmd__trace`, so that behind `fw-ctl trace` nothing is offered.
fn mended(script: &str) -> String {
    script.replace("fw__subcmd__ctl", "fw__ctl")
}
