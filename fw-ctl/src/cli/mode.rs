//! `fw-ctl mode`

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json, warn};
use crate::control::client::ask;
use crate::control::protocol::{ModeChange, Request};
use crate::daemon::status::ModeStatus;
use crate::exit;

/// Arguments of `mode`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The new mode, kept over restarts; without it the mode is printed
    #[arg(value_enum)]
    set: Option<ModeChange>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer, or cannot change the mode.
pub fn run(args: &Args) -> Outcome {
    let mode: ModeStatus = ask(&args.client.socket(), &Request::Mode { set: args.set })?;
    for warning in &mode.warnings {
        warn(warning);
    }
    match args.output.format {
        Format::Json => print_json(&mode)?,
        Format::Table => print(&format!("{} (by {})", mode.mode, mode.source))?,
    }
    Ok(exit::OK)
}
