//! `fw-ctl mode`. Asks the daemon; where none runs, changes the mode of what is pinned
//! itself: who wants audit mode in distress gets it.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs, load};
use super::output::{Format, Outcome, print, print_json, warn};
use crate::compile::plan::Mode;
use crate::config::{Overrides, Paths};
use crate::control::client::ask;
use crate::control::protocol::{Failure, ModeChange, Request};
use crate::daemon::status::{ModeStatus, SCHEMA};
use crate::daemon::{Lock, ModeStore};
use crate::datapath::brake;
use crate::exit;

/// Arguments of `mode`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The new mode, kept over restarts; without it the mode is printed
    #[arg(value_enum)]
    set: Option<ModeChange>,
    /// Directory of the pins, where no daemon runs
    #[arg(long, value_name = "DIR")]
    pin_dir: Option<PathBuf>,
    /// Directory of what outlives a reboot, where no daemon runs
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks and prints.
///
/// # Errors
/// When the daemon does not answer and nothing is pinned, or the mode cannot be changed.
pub fn run(args: &Args) -> Outcome {
    let paths = args.client.paths();
    let asked = ask(&paths.control_socket(), &Request::Mode { set: args.set });
    let mode: ModeStatus = match (asked, args.set) {
        (Err(failure), Some(change)) if failure.exit == exit::UNREACHABLE => {
            without_daemon(args, &paths, change)?.ok_or(failure)?
        }
        (asked, _) => asked?,
    };
    for warning in &mode.warnings {
        warn(warning);
    }
    match args.output.format {
        Format::Json => print_json(&mode)?,
        Format::Table => print(&format!("{} (by {})", mode.mode, mode.source))?,
    }
    Ok(exit::OK)
}

/// `None`: there is a daemon after all, or nothing is pinned.
fn without_daemon(
    args: &Args,
    paths: &Paths,
    change: ModeChange,
) -> Result<Option<ModeStatus>, Failure> {
    // Until the end: no daemon is to start meanwhile.
    let Ok(_lock) = Lock::take(&paths.run_dir) else {
        return Ok(None);
    };
    let mode = match change.mode() {
        Some(mode) => mode,
        None => configured(args)?,
    };
    let pin_dir = args.pin_dir.as_ref().unwrap_or(&paths.pin_dir);
    if !brake(pin_dir, mode)? {
        return Ok(None);
    }
    let mut warnings = vec![format!(
        "no daemon runs: the mode of what is pinned in {} was changed without it",
        pin_dir.display()
    )];
    let mut store = ModeStore::open(args.state_dir.as_ref().unwrap_or(&paths.state_dir));
    store.set(change);
    warnings.extend(store.unsaved());
    let (mode, source) = (mode_name(mode), change.source());
    Ok(Some(ModeStatus {
        schema: SCHEMA,
        mode: mode.into(),
        source: source.into(),
        warnings,
    }))
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Audit => "audit",
        Mode::Enforce => "enforce",
    }
}

fn configured(args: &Args) -> Result<Mode, Failure> {
    let overrides = Overrides {
        config: args.client.config.clone(),
        ..Overrides::default()
    };
    match load(&overrides) {
        Ok(loaded) => Ok(loaded.config.policy.mode.into()),
        Err(errors) => {
            let what = "no daemon runs, and the configured mode is not known";
            Err(Failure::refused(what, &errors).help("fw-ctl mode audit, or enforce"))
        }
    }
}
