//! Signals that end a program of the command line in its own way: a terminal that was taken over is
//! given back, a capture says what it has.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

/// How long the loop may take to see a signal: it may wait for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which signal came.
#[derive(Clone, Debug)]
pub struct Signals(Arc<AtomicI32>);

impl Signals {
    /// From now on SIGTERM, SIGINT and SIGHUP are told here, and end the program by themselves
    /// only if nobody asks, after `restore`. Only threads that start later leave the signals alone.
    ///
    /// # Errors
    /// When the kernel refuses the mask.
    pub fn listen(restore: fn()) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            set.add(signal);
        }
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let came = Self(Arc::new(AtomicI32::new(0)));
        let tell = Arc::clone(&came.0);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let Ok(signal) = set.wait() else { return };
                tell.store(signal as i32, Ordering::Relaxed);
                thread::sleep(PATIENCE);
                restore();
                std::process::exit(128 + signal as i32);
            })?;
        Ok(came)
    }

    /// The exit code of the signal that came, as a shell gives it.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}
