//! `fw-ctl reload`: waits until the new plan is in force or refused, so that
//! `systemctl reload` fails visibly.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::change::ChangeArgs;
use super::output::{Format, Outcome, or_data, print, print_json, warn};
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::daemon::status::{JournalStatus, OnTrialStatus, Reloaded};
use crate::exit;

/// Between two looks whether it was confirmed.
const LOOK: Duration = Duration::from_millis(500);
/// A daemon that is restarted meanwhile is there again by then.
const GRACE: Duration = Duration::from_secs(10);

/// Arguments of `reload`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    change: ChangeArgs,
    /// Wait until the change is confirmed, from elsewhere, or not; exit 6 if not
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer, or refuses the change: then the old plan stays. When it
/// was waited for, and not confirmed.
pub fn run(args: &Args) -> Outcome {
    let socket = args.client.socket();
    let reloaded = ask(&socket, &Request::Reload(args.change.change()));
    let reloaded: Reloaded = or_data(reloaded, args.output.format)?;
    let code = answered(&reloaded, args.output.format)?;
    if let (true, Some(trial)) = (args.wait, &reloaded.trial) {
        wait(&socket, trial)?;
    }
    Ok(code)
}

/// Prints what came in force.
///
/// # Errors
/// When it cannot be written.
pub fn answered(reloaded: &Reloaded, format: Format) -> Outcome {
    match format {
        Format::Json => print_json(reloaded)?,
        Format::Table => {
            for warning in &reloaded.warnings {
                warn(warning);
            }
            print(&reloaded.to_string())?;
        }
    }
    Ok(exit::OK)
}

/// Waits until the trial has ended.
fn wait(socket: &Path, trial: &OnTrialStatus) -> Result<(), Failure> {
    let number = trial.generation;
    let patience = Duration::from_secs(trial.left) + GRACE;
    let begun = Instant::now();
    loop {
        let journal = ask::<JournalStatus>(socket, &Request::Journal);
        let entries = journal.map(|journal| journal.entries);
        let state = entries.map(|entries| {
            let entry = entries.into_iter().find(|entry| entry.generation == number);
            entry.map_or_else(String::new, |entry| entry.state)
        });
        match state {
            Ok(state) if state == "not confirmed" => {
                let message = format!(
                    "generation {number} was not confirmed in time: the one before it is in \
                     force again"
                );
                return Err(Failure::new(exit::REVERTED, message));
            }
            Ok(state) if state != "on trial" => return Ok(()),
            Err(failure) if begun.elapsed() > patience => return Err(failure),
            _ => sleep(LOOK),
        }
    }
}
