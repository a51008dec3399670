//! Flags of commands that change what is enforced.

use clap::Args;

use super::ssh;
use crate::config::patience;
use crate::control::protocol::Change;

/// How a change is made.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// Go back by itself unless `fw-ctl confirm` follows within this time (5s, 2m), even if
    /// the daemon is dead by then [default: policy.confirm]
    #[arg(long, value_name = "SPAN", value_parser = patience::parse)]
    confirm: Option<u64>,
    /// Stay with the change without confirmation, whatever `policy.confirm` says
    #[arg(long, conflicts_with = "confirm")]
    no_confirm: bool,
    /// Also if it cuts connections that are open now, or drops what has passed lately
    #[arg(long)]
    force: bool,
}

impl ChangeArgs {
    /// Whether it is asked for explicitly that the change be confirmed.
    #[must_use]
    pub const fn wants_trial(&self) -> bool {
        self.confirm.is_some()
    }

    /// Whether it is wanted whatever it cuts.
    #[must_use]
    pub const fn is_forced(&self) -> bool {
        self.force
    }

    /// For the daemon.
    #[must_use]
    pub fn change(&self) -> Change {
        Change {
            confirm: if self.no_confirm {
                Some(0)
            } else {
                self.confirm
            },
            force: self.force,
            asker: ssh::session(),
        }
    }
}
