//! What systemd is told of the daemon (`sd_notify(3)`); nothing, where it did not start it.
//!
//! READY=1 means that the node is filtered, or that waiting longer would not make it so:
//! at boot the network waits for it. STATUS= is the line of `systemctl status`.

use sd_notify::NotifyState;

use crate::why::why;

/// Talks to the service manager.
#[derive(Debug, Default)]
pub struct Manager {
    ready: bool,
}

impl Manager {
    /// Whether READY=1 was ever said.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The start, or a reload, is over. `line` says how it goes.
    pub fn ready(&mut self, line: &str) {
        self.ready = true;
        notify(&[NotifyState::Status(line), NotifyState::Ready]);
    }

    /// A reload begins, whoever asked for it.
    ///
    /// Both in one message: systemd takes a RELOADING without its time for a fault.
    pub fn reloading(&self) {
        if !self.ready {
            // Its READY is still to come, and one is enough.
            return;
        }
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("cannot tell systemd of the reload: {}", why(&error)),
        }
    }

    /// How it goes.
    pub fn status(line: &str) {
        notify(&[NotifyState::Status(line)]);
    }

    /// Feeds the watchdog. Only for who has just read back from the kernel that all is
    /// as it was installed.
    pub fn alive() {
        notify(&[NotifyState::Watchdog]);
    }

    /// The daemon ends; `line` stays in `systemctl status`.
    pub fn stopping(line: &str) {
        notify(&[NotifyState::Status(line), NotifyState::Stopping]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("cannot tell systemd: {}", why(&error));
    }
}
