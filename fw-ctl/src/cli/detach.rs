//! `fw-ctl detach`: opens the node. Asks the daemon; where none runs, removes the
//! pins itself.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::output::{Format, Outcome, print, print_json};
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
/// When it is not permitted, or the kernel refuses.
pub fn run(args: &Args) -> Outcome {
    let socket = args.client.socket();
    let detached = if socket.exists() {
        match ask(&socket, &Request::Detach) {
            // The socket of a daemon that was killed.
            Err(failure) if failure.exit == exit::UNREACHABLE && lock_is_free(args) => {
                without_daemon(args)?
            }
            result => result?,
        }
    } else {
        without_daemon(args)?
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

fn lock_is_free(args: &Args) -> bool {
    Lock::take(&args.client.paths().run_dir).is_ok()
}

fn without_daemon(args: &Args) -> Result<Detached, Failure> {
    let paths = args.client.paths();
    let pin_dir = args.pin_dir.as_ref().unwrap_or(&paths.pin_dir);
    let report = Datapath::detach_all(pin_dir)?;
    Ok(Detached {
        schema: SCHEMA,
        interfaces: report.interfaces,
    })
}
