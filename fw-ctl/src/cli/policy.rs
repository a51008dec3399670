//! `fw-ctl policy …`: what needs neither root nor a daemon, unless it is asked about what
//! is in force or was seen.

use clap::Subcommand;

use super::output::Outcome;
use super::validate::{self, ValidateArgs};
use super::{policy_diff, policy_lint, policy_list, policy_suggest, policy_test};

/// The commands below `policy`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say whether policies are acceptable; exit 3 when one is not
    Validate(ValidateArgs),
    /// Judge flows; exit 1 when an expectation is not met
    Test(policy_test::Args),
    /// List policies and whom they protect, or the built-ins
    List(policy_list::Args),
    /// Name probable mistakes; exit 1 when there are any
    Lint(policy_lint::Args),
    /// Say what a change changes: rules, and who gains and loses; exit 1 when anything differs
    Diff(policy_diff::Args),
    /// Write the policy that allows rows of `audit report`, and nothing else
    Suggest(policy_suggest::Args),
}

/// Does what the command says.
///
/// # Errors
/// When stdout or stderr cannot be written.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::Test(args) => policy_test::run(args),
        Command::List(args) => policy_list::run(args),
        Command::Suggest(args) => policy_suggest::run(args),
        Command::Diff(args) => policy_diff::run(args),
        Command::Lint(args) => policy_lint::run(args),
        Command::Validate(args) => validate::run(args),
    }
}
