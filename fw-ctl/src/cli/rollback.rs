//! `fw-ctl rollback`: back to what was in force.

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::change::ChangeArgs;
use super::output::{Outcome, or_data};
use super::reload::answered;
use crate::control::client::ask;
use crate::control::protocol::Request;

/// Arguments of `rollback`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The generation, of those that `fw-ctl journal` lists [default: the one before; from
    /// a change that is to be confirmed, at once]
    #[arg(value_name = "GENERATION")]
    to: Option<u64>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer, or refuses: then nothing has changed.
pub fn run(args: &Args) -> Outcome {
    let request = Request::Rollback {
        to: args.to,
        change: args.change.change(),
    };
    let reloaded = ask(&args.client.socket(), &request);
    let reloaded = or_data(reloaded, args.output.format)?;
    answered(&reloaded, args.output.format)
}
