//! `fw-ctl confirm`: that this command reaches the daemon, by a connection of its own, is
//! what keeps the change.

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json, warn};
use crate::control::client::ask;
use crate::control::protocol::Request;
use crate::daemon::status::Confirmation;
use crate::exit;

/// Arguments of `confirm`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer, or it is too late.
pub fn run(args: &Args) -> Outcome {
    let confirmed: Confirmation = ask(&args.client.socket(), &Request::Confirm)?;
    match args.output.format {
        Format::Json => print_json(&confirmed)?,
        Format::Table => {
            for warning in &confirmed.warnings {
                warn(warning);
            }
            print(&format!("generation {} is confirmed", confirmed.generation))?;
        }
    }
    Ok(exit::OK)
}
