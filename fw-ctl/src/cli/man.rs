//! `fw-ctl man`: a page for every command, from the same tree as the help.

use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory};

use super::Cli;
use super::output::{Outcome, say};
use crate::control::protocol::Failure;
use crate::exit;
use crate::why::why;

/// Arguments of `man`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Directory to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages.
///
/// # Errors
/// When the directory cannot be written.
pub fn run(args: &Args) -> Outcome {
    let failed = |error: std::io::Error| {
        Failure::new(
            exit::UNREACHABLE,
            format!(
                "cannot write man pages to {}: {}",
                args.out.display(),
                why(&error)
            ),
        )
    };
    std::fs::create_dir_all(&args.out).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.out).map_err(failed)?;
    say(&format!("man pages written to {}", args.out.display()));
    Ok(exit::OK)
}
