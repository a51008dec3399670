//! `fw-ctl mode`. Asks the daemon; where none runs, or to audit where it hangs, changes the
//! mode of what is pinned itself: who wants audit mode in distress gets it.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs, load};
use super::change::ChangeArgs;
use super::output::{Format, Outcome, or_data, print, print_json, say, warn};
use crate::compile::plan::Mode;
use crate::config::{Overrides, Paths};
use crate::control::client::ask;
use crate::control::protocol::{Failure, ModeChange, Request};
use crate::daemon::status::{ModeStatus, SCHEMA};
use crate::daemon::{Lock, ModeStore};
use crate::datapath::{DatapathError, brake, brake_beside, in_force};
use crate::exit;
use crate::harm::Audited;

/// Arguments of `mode`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The new mode, kept over restarts; without it the mode is printed
    #[arg(value_enum)]
    set: Option<ModeChange>,
    #[command(flatten)]
    change: ChangeArgs,
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
    let request = Request::Mode {
        set: args.set,
        change: args.change.change(),
    };
    let asked = ask(&paths.control_socket(), &request);
    let mode: ModeStatus = match (asked, args.set) {
        (Err(failure), Some(change))
            if failure.exit == exit::UNREACHABLE && !args.change.wants_trial() =>
        {
            without_answer(args, &paths, change, failure)?
        }
        (asked, _) => or_data(asked, args.output.format)?,
    };
    for line in mode.audited.iter().flat_map(Audited::lines) {
        say(&line);
    }
    for warning in &mode.warnings {
        warn(warning);
    }
    match args.output.format {
        Format::Json => print_json(&mode)?,
        Format::Table => print(&format!("{} (by {})", mode.mode, mode.source))?,
    }
    Ok(exit::OK)
}

/// Changes the mode of what is pinned because the daemon did not do it.
fn without_answer(
    args: &Args,
    paths: &Paths,
    change: ModeChange,
    failure: Failure,
) -> Result<ModeStatus, Failure> {
    // Until the end: no daemon is to start meanwhile.
    match Lock::take(&paths.run_dir) {
        Ok(_lock) => without_daemon(args, paths, change)?.ok_or(failure),
        Err(held) if held.exit == exit::REFUSED && change == ModeChange::Audit => {
            beside_daemon(args, paths, failure)
        }
        Err(_) => Err(failure),
    }
}

/// `None`: nothing is pinned.
fn without_daemon(
    args: &Args,
    paths: &Paths,
    change: ModeChange,
) -> Result<Option<ModeStatus>, Failure> {
    let mode = match change.mode() {
        Some(mode) => mode,
        None => configured(args)?,
    };
    let pin_dir = args.pin_dir(paths);
    if mode == Mode::Enforce && !args.change.is_forced() && in_force(pin_dir)?.is_some() {
        let message = "no daemon runs: what is open now, and would be cut, is not known";
        return Err(Failure::new(exit::REFUSED, message)
            .help("start the daemon, or --force if you mean it"));
    }
    let done = match brake(pin_dir, mode) {
        // A daemon with another run directory.
        Err(DatapathError::Busy { .. }) if change == ModeChange::Audit => {
            brake_beside(pin_dir, mode)
        }
        done => done,
    };
    if !done? {
        return Ok(None);
    }
    let mut warnings = vec![format!(
        "no daemon runs: the mode of what is pinned in {} was changed without it",
        pin_dir.display()
    )];
    let state_dir = args.state_dir(paths);
    warnings.extend(store(state_dir, change));
    Ok(Some(changed(mode, change, warnings)))
}

/// Brakes under a daemon that has not done it, for which `failure` says why.
fn beside_daemon(args: &Args, paths: &Paths, failure: Failure) -> Result<ModeStatus, Failure> {
    let why = failure.message.replace('\n', "; ");
    match brake_beside(args.pin_dir(paths), Mode::Audit) {
        Ok(true) => {}
        Ok(false) => return Err(failure),
        Err(error) => {
            let error = Failure::from(error).line();
            let message = format!("{why}; nor can the mode be set in the kernel directly: {error}");
            return Err(Failure { message, ..failure });
        }
    }
    let unsaved = store(args.state_dir(paths), ModeChange::Audit);
    let kept = match unsaved {
        None => ", and is stored for the next start",
        Some(_) => "",
    };
    let mut warnings = vec![format!(
        "{why}: audit mode was set in the kernel directly{kept}"
    )];
    warnings.extend(unsaved);
    Ok(changed(Mode::Audit, ModeChange::Audit, warnings))
}

/// Stores a mode for the next start. Returns why it is not stored.
fn store(state_dir: &Path, change: ModeChange) -> Option<String> {
    let mut store = ModeStore::open(state_dir);
    store.set(change);
    store.unsaved()
}

fn changed(mode: Mode, change: ModeChange, warnings: Vec<String>) -> ModeStatus {
    ModeStatus {
        schema: SCHEMA,
        mode: mode.name().into(),
        source: change.source().into(),
        warnings,
        audited: None,
    }
}

impl Args {
    fn pin_dir<'a>(&'a self, paths: &'a Paths) -> &'a Path {
        self.pin_dir.as_ref().unwrap_or(&paths.pin_dir)
    }

    fn state_dir<'a>(&'a self, paths: &'a Paths) -> &'a Path {
        self.state_dir.as_ref().unwrap_or(&paths.state_dir)
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
