//! `fw-ctl detach`: opens the node. Asks the daemon; where none runs, removes the
//! pins itself.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json};
use crate::config::Paths;
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::daemon::Lock;
use crate::daemon::status::{Detached, SCHEMA};
use crate::datapath::Datapath;
use crate::exit;

/// Arguments of `detach`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Directory of the pins, where no daemon runs
    #[arg(long, value_name = "DIR")]
    pin_dir: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Detaches and says what is open now.
///
/// # Errors
/// When it is not permitted, there is nothing to detach, or the kernel refuses.
pub fn run(args: &Args) -> Outcome {
    let paths = args.client.paths();
    let socket = paths.control_socket();
    let detached = if socket.exists() {
        match ask(&socket, &Request::Detach) {
            // The socket of a daemon that was killed.
            Err(failure) if failure.exit == exit::UNREACHABLE && lock_is_free(&paths) => {
                without_daemon(args, &paths)?
            }
            result => result?,
        }
    } else {
        without_daemon(args, &paths)?
    };
    match args.output.format {
        Format::Json => print_json(&detached)?,
        Format::Table if detached.interfaces.is_empty() => print("nothing was filtered")?,
        Format::Table => print(&format!(
            "not filtered any more: {}",
            detached.interfaces.join(", ")
        ))?,
    }
    Ok(exit::OK)
}

fn lock_is_free(paths: &Paths) -> bool {
    Lock::take(&paths.run_dir).is_ok()
}

fn without_daemon(args: &Args, paths: &Paths) -> Result<Detached, Failure> {
    let pin_dir = args.pin_dir.as_ref().unwrap_or(&paths.pin_dir);
    let report = Datapath::detach_all(pin_dir)?;
    if (report.links, report.maps) == (0, 0) {
        let message = format!(
            "no pins in {}: nothing was detached, and no daemon listens on {}",
            pin_dir.display(),
            paths.control_socket().display()
        );
        return Err(Failure::new(exit::NEGATIVE, message)
            .help("--config, or --run-dir and --pin-dir, if the daemon has others"));
    }
    Ok(Detached {
        schema: SCHEMA,
        interfaces: report.interfaces,
    })
}
