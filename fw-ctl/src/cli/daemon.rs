//! `fw-ctl daemon`

use std::io::IsTerminal;

use clap::Args as ClapArgs;
use tracing_subscriber::EnvFilter;

use super::args::{PathArgs, last_paths, load};
use super::output::{Outcome, plain};
use crate::control::protocol::Failure;
use crate::daemon;
use crate::exit;

/// Arguments of `daemon`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    paths: PathArgs,
    /// Print what the eBPF programs log of every packet, if they were built to (feature ebpf-log)
    #[arg(long)]
    ebpf_log: bool,
}

/// Runs until a signal ends it.
///
/// # Errors
/// When the log of the programs is wanted and not built in, the configuration is wrong and none was ever right, another daemon is there, or the kernel
/// cannot do what is needed.
pub fn run(args: &Args) -> Outcome {
    daemon::ebpf_log::check(args.ebpf_log)?;
    log_to_stderr();
    let overrides = args.paths.overrides();
    let config = match load(&overrides) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tracing::warn!("{}", plain(warning));
            }
            for file in &loaded.files {
                tracing::info!("configuration: {}", file.display());
            }
            loaded.config
        }
        // A node that was filtered must be filtered after a reboot, too.
        Err(errors) => {
            let (paths, unreadable) = last_paths(&overrides);
            let last = daemon::last_config(&overrides, paths, unreadable.is_empty());
            last.ok_or_else(|| Failure::refused("the configuration is refused", &errors))?
        }
    };
    daemon::run(config, overrides, args.ebpf_log)?;
    Ok(exit::OK)
}

/// The journal stamps lines itself; a terminal does not.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("FW_CTL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false);
    // A second subscriber in one process (tests) changes nothing: the first stays.
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().try_init()
    } else {
        builder.try_init()
    };
}
