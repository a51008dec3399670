//! `fw-ctl reload`: waits until the new plan is in force or refused, so that
//! `systemctl reload` fails visibly.

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json, warn};
use crate::control::client::ask;
use crate::control::protocol::Request;
use crate::daemon::status::Reloaded;
use crate::exit;

/// Arguments of `reload`.
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
/// When the daemon does not answer, or refuses the change: then the old plan stays.
pub fn run(args: &Args) -> Outcome {
    let reloaded: Reloaded = ask(&args.client.socket(), &Request::Reload)?;
    match args.output.format {
        Format::Json => print_json(&reloaded)?,
        Format::Table => {
            for warning in &reloaded.warnings {
                warn(warning);
            }
            print(&format!(
                "generation {} is in force: {} policies, {} rules, {}",
                reloaded.generation, reloaded.policies, reloaded.rules, reloaded.hash
            ))?;
        }
    }
    Ok(exit::OK)
}
