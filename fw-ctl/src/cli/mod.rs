//! The command line: one tree of commands, from which help, completions and man
//! pages are made too.

pub(crate) mod args;
mod audit;
mod ban;
mod capture;
mod change;
mod completions;
mod confirm;
mod daemon;
mod detach;
mod doctor;
mod explain;
mod init;
mod journal;
mod man;
mod metrics;
mod mode;
mod monitor;
mod observe;
mod offline;
pub mod output;
mod peers;
mod policy;
mod policy_diff;
mod policy_lint;
mod policy_list;
mod policy_suggest;
mod policy_test;
mod reload;
mod rollback;
mod rules;
mod ssh;
mod status;
pub(crate) mod table;
mod top;
mod trace;
pub mod validate;
mod version;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use output::{Outcome, report, written};

use crate::exit;

/// What stands below every help.
const EXIT_CODES: &str = "\
Exit codes:
  0  fine, allowed, no difference
  1  a negative answer: denied, differs, degraded, a test failed
  2  wrong usage
  3  invalid policy, inventory or configuration
  4  refused for safety
  5  daemon or kernel unreachable or unsupported
  6  applied but reverted";

/// A host firewall in XDP and TC that speaks Cilium's network policies
#[derive(Debug, Parser)]
#[command(name = "fw-ctl", version, propagate_version = true, after_help = EXIT_CODES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the firewall (in the foreground; fw-ctl.service runs this)
    Daemon(daemon::Args),
    /// Write configuration, inventory and policies for this host, and show what they would close
    Init(init::Args),
    /// Say how it goes: mode, interfaces, plan; exit 1 when degraded
    Status(status::Args),
    /// Say what is slow or missing on this machine, and what to do; says more as root
    Doctor(doctor::Args),
    /// Read configuration, policies and inventory again, and put them in force
    Reload(reload::Args),
    /// Keep the change that is to be confirmed; exit 6 if it is too late
    Confirm(confirm::Args),
    /// Go back to what was in force; the files stay what they are
    Rollback(rollback::Args),
    /// List what was in force
    Journal(journal::Args),
    /// Say or change what happens to denied packets
    Mode(mode::Args),
    /// Print verdicts as they happen, in the format of cilium monitor
    Monitor(monitor::Args),
    /// Print flows, of the past or as they happen, in the format of hubble observe
    Observe(observe::Args),
    /// Write dropped packets to a file for tshark, with what dropped them
    Capture(capture::Args),
    /// List the rules in force with what they decided
    Rules(rules::Args),
    /// List every known address: who it is, its class, and where that was said
    Peers(peers::Args),
    /// Watch rates by rule, reason, source, port and interface, and the last drops
    Top(top::Args),
    /// What monitoring systems are told at /metrics
    #[command(subcommand)]
    Metrics(metrics::Command),
    /// Keep single addresses out at once, for a while or for good
    #[command(subcommand)]
    Ban(ban::Command),
    /// Say what enforcement would drop
    #[command(subcommand)]
    Audit(audit::Command),
    /// Look at policies, before they are in force
    #[command(subcommand)]
    Policy(policy::Command),
    /// Explain what happens to a new connection; exit 0 allowed, 1 denied
    Trace(trace::Args),
    /// Explain why a recorded packet was dropped, and what would become of it now
    Explain(explain::Args),
    /// Take the filter off every interface: the node is open afterwards
    Detach(detach::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Write the man pages
    Man(man::Args),
    /// Print versions
    Version(version::Args),
}

/// Reads the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let result = match parsed() {
        Ok(cli) => run(cli.command),
        Err(said) => answer(&said),
    };
    ExitCode::from(result.unwrap_or_else(|failure| report(&failure)))
}

/// What was asked for. What only a look at all flags finds wrong is told with the usage of the
/// command whose flags they are.
fn parsed() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|wrong| {
        let mut names = Vec::new();
        let mut below = matches.subcommand();
        while let Some((name, found)) = below {
            names.push(name);
            below = found.subcommand();
        }
        let named = names.iter().try_fold(&mut command, |command, name| {
            command.find_subcommand_mut(name)
        });
        match named {
            Some(command) => wrong.format(command),
            None => wrong,
        }
    })
}

/// Prints help or version on stdout, or what is wrong with the arguments on stderr.
fn answer(said: &clap::Error) -> Outcome {
    let printed = said.print();
    if said.use_stderr() {
        return Ok(exit::USAGE);
    }
    written(printed.and_then(|()| std::io::stdout().flush()))?;
    Ok(exit::OK)
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Daemon(args) => daemon::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Detach(args) => detach::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Confirm(args) => confirm::run(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Mode(args) => mode::run(&args),
        Command::Monitor(args) => monitor::run(&args),
        Command::Observe(args) => observe::run(&args),
        Command::Capture(args) => capture::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Metrics(command) => metrics::run(&command),
        Command::Ban(command) => ban::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::Trace(args) => trace::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Version(args) => version::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
