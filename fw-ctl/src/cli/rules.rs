//! `fw-ctl rules`

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json};
use super::table::table;
use crate::control::client::ask;
use crate::control::protocol::Request;
use crate::daemon::status::Rules;
use crate::exit;

/// Arguments of `rules`.
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
/// When the daemon does not answer or has no plan.
pub fn run(args: &Args) -> Outcome {
    let rules: Rules = ask(&args.client.socket(), &Request::Rules)?;
    match args.output.format {
        Format::Json => print_json(&rules)?,
        Format::Table => {
            let rows = rules.rules.into_iter().map(|rule| {
                [
                    rule.direction,
                    match rule.rate {
                        Some(rate) => format!("{} {rate}", rule.verdict),
                        None => rule.verdict,
                    },
                    rule.policy,
                    rule.rule,
                    rule.origin,
                    rule.packets.to_string(),
                    rule.bytes.to_string(),
                ]
            });
            print(&table(
                [
                    "DIRECTION",
                    "VERDICT",
                    "POLICY",
                    "RULE",
                    "ORIGIN",
                    "PACKETS",
                    "BYTES",
                ],
                rows,
            ))?;
        }
    }
    Ok(exit::OK)
}
