//! A clean way out on Ctrl-C and on SIGTERM.

use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

use crate::{Error, Result, workdir};

/// From now on SIGINT, SIGTERM and SIGHUP remove the labs' directories and end the
/// process with 128 plus the signal's number; children and namespaces go with it.
/// Call it first in `main`: only threads that start later leave the signals to it.
///
/// # Errors
/// When the kernel refuses the signal mask.
pub fn clean_up_on_signals() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)
        .map_err(Error::io("block the signals that end the lab"))?;
    thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            workdir::remove_all();
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}
