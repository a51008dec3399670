//! When to look at the lists again: a file in a directory of the inventory was written
//! or replaced, an entry expires, or some time has gone by.
//!
//! The kernel tells of changes (inotify), but not of all: of none on network file
//! systems, nor behind a symbolic link in another directory. So what it tells is only
//! the quickest reason to look, and what is found decides.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use super::Inputs;
use super::inputs::inventory_paths;
use crate::config::Config;
use crate::lists::is_list;
use crate::lists::moment::{self, Moment};
use crate::texts::{find_directories, find_files};
use crate::why::why;

/// So long nothing must have happened before it is looked at what happened.
const QUIET: Duration = Duration::from_secs(1);
/// But not longer, if something happens all the time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for no reason.
const ROUND: Duration = Duration::from_secs(30);
/// Between two looks because something expires: a list may have another date in each
/// of its lines.
const PAUSE: Duration = Duration::from_secs(10);

/// Everything that can happen to a file, but that it was merely written to: who
/// writes it closes it.
const EVENTS: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_ONLYDIR);

/// What is waited for.
pub struct ListWatch {
    /// `None` where the kernel has none left: then it is looked from time to time.
    events: Option<AsyncFd<Events>>,
    /// The first and the last event since the last look.
    changed: Option<(Instant, Instant)>,
    looked: Instant,
    /// The last look because something expired.
    expired: Option<Instant>,
}

struct Events(Inotify);

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl ListWatch {
    /// Watches nothing yet. Needs a runtime around it.
    pub fn new() -> Self {
        let events = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        let events = events.map_err(io::Error::from).and_then(|events| {
            // SAFETY: inotify owns its descriptor, returns the same one every time, and
            // closes it only when it is dropped, after the AsyncFd has let go of it.
            unsafe { AsyncFd::register(Events(events)) }.map_err(io::Error::from)
        });
        let events = events.inspect_err(|error| {
            let why = why(error);
            tracing::warn!("lists are looked at each {ROUND:?} only: no inotify: {why}");
        });
        Self {
            events: events.ok(),
            changed: None,
            looked: Instant::now(),
            expired: None,
        }
    }

    /// Watches the directories of the inventory that `config` names, and those of
    /// lists behind symbolic links. To be called after each look, since there may be
    /// others by then; those that it had before it keeps.
    pub fn watch(&mut self, config: &Config) {
        self.looked = Instant::now();
        let Some(events) = &self.events else { return };
        let paths = inventory_paths(config);
        let mut directories: BTreeSet<PathBuf> = find_directories(&paths).into_iter().collect();
        for list in find_files(&paths, is_list) {
            let real = list.canonicalize().ok();
            for file in [Some(list), real].into_iter().flatten() {
                directories.extend(file.parent().map(PathBuf::from));
            }
        }
        for directory in directories {
            match events.get_ref().0.add_watch(&directory, EVENTS) {
                // It is gone again: another look will follow.
                Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(error) => tracing::warn!(
                    "{} is looked at each {ROUND:?} only: {}",
                    directory.display(),
                    error.desc()
                ),
            }
        }
    }

    /// A file was being written: it is looked at again soon.
    pub fn again(&mut self) {
        self.happened();
    }

    fn happened(&mut self) {
        let now = Instant::now();
        let first = self.changed.map_or(now, |(first, _)| first);
        self.changed = Some((first, now));
    }

    /// Waits until the lists should be looked at; `inputs` are those in force. May be
    /// dropped and called again.
    pub async fn due(&mut self, inputs: Option<&Arc<Inputs>>) {
        loop {
            let changed = self
                .changed
                .map(|(first, last)| (last + QUIET).min(first + PATIENCE));
            let expires = inputs.and_then(|inputs| self.expires(inputs, moment::now()));
            let next = self.looked + ROUND;
            let next = [changed, expires]
                .into_iter()
                .flatten()
                .fold(next, Instant::min);
            tokio::select! {
                () = sleep_until(next) => {
                    let now = Instant::now();
                    if expires.is_some_and(|at| at <= now) {
                        self.expired = Some(now);
                    }
                    self.changed = None;
                    self.looked = now;
                    return;
                }
                () = event(self.events.as_ref()) => self.happened(),
            }
        }
    }

    /// When it is to be looked because what has expired is not what is in force any
    /// more: as the clock says now. It may jump, but at each round it is asked again.
    fn expires(&self, inputs: &Inputs, now: Moment) -> Option<Instant> {
        let at = if inputs.expired_by(now) == inputs.expired {
            let seconds = inputs.expires()?.saturating_sub(now);
            Instant::now() + Duration::from_secs(seconds.into())
        } else {
            Instant::now()
        };
        let earliest = self.expired.map(|last| last + PAUSE);
        Some(earliest.map_or(at, |earliest| at.max(earliest)))
    }
}

/// Waits for events, and takes them all; for ever where there are none.
async fn event(events: Option<&AsyncFd<Events>>) {
    let Some(events) = events else {
        return std::future::pending().await;
    };
    let Ok(mut ready) = events.readable().await else {
        return std::future::pending().await;
    };
    while events.get_ref().0.read_events().is_ok() {}
    ready.clear_ready();
}
