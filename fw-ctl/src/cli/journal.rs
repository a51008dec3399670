//! `fw-ctl journal`: the generations that `rollback` can go back to.

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, bad, doubtful, good, print, print_json, warn};
use super::table::table;
use crate::control::client::ask;
use crate::control::protocol::Request;
use crate::daemon::status::{JournalEntry, JournalStatus};
use crate::exit;

/// Arguments of `journal`.
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
/// When the daemon does not answer.
pub fn run(args: &Args) -> Outcome {
    let journal: JournalStatus = ask(&args.client.socket(), &Request::Journal)?;
    match args.output.format {
        Format::Json => print_json(&journal)?,
        Format::Table => {
            let rows = journal.entries.iter().map(row);
            let head = ["GENERATION", "STATE", "SINCE", "MODE", "FILES", "BY"];
            print(&table(head, rows))?;
            for damage in journal.entries.iter().filter_map(|one| one.damage.as_ref()) {
                warn(damage);
            }
        }
    }
    for warning in &journal.warnings {
        warn(warning);
    }
    Ok(exit::OK)
}

fn row(entry: &JournalEntry) -> [String; 6] {
    let state = match entry.state.as_str() {
        state if entry.damage.is_some() => bad(&format!("{state}, damaged")),
        "in force" => good("in force"),
        "on trial" => doubtful("on trial"),
        state => state.to_owned(),
    };
    let files = entry.files.map(|files| files.to_string());
    [
        entry.generation.to_string(),
        state,
        entry.since.clone().unwrap_or_default(),
        entry.mode.clone().unwrap_or_default(),
        files.unwrap_or_default(),
        entry.cause.clone(),
    ]
}
