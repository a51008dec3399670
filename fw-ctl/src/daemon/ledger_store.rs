//! The ledger on disk: it outlasts the daemon.
//!
//! Written at most once a minute, and at the end. A ledger that cannot be read begins anew.

use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::SharedRecent;
use super::ledger::{Key, Ledger, Row, Rows};
use super::shelf::Shelf;
use crate::moment;

const FILE: &str = "audit.json";
/// What it keeps.
const WHAT: &str = "what was audited and dropped";
/// Of the file, whose body is a [`Stored`].
const SCHEMA: u32 = 1;
/// Between two writings.
const PAUSE: Duration = Duration::from_mins(1);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    audited: StoredRows,
    dropped: StoredRows,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRows {
    displaced: u64,
    rows: Vec<(Key, Row)>,
}

impl StoredRows {
    fn of(rows: &Rows) -> Self {
        Self {
            displaced: rows.displaced(),
            rows: rows.sorted().collect(),
        }
    }

    fn rows(self, now: u64) -> Rows {
        Rows::of(self.rows, self.displaced, now)
    }
}

/// The file that keeps the ledger.
#[derive(Debug)]
pub struct LedgerStore {
    file: Shelf,
    /// When it was last tried to write it.
    tried: Option<Instant>,
}

impl LedgerStore {
    /// Reads what a former daemon has stored in `directory`.
    #[must_use]
    pub fn open(directory: &Path) -> (Self, Ledger) {
        let (file, stored) = Shelf::open(directory, FILE, SCHEMA, WHAT);
        let now = moment::now();
        let mut ledger = stored.map_or_else(Ledger::default, |stored: Stored| Ledger {
            audited: stored.audited.rows(now),
            dropped: stored.dropped.rows(now),
            changed: false,
        });
        ledger.forget_old(now);
        (Self { file, tried: None }, ledger)
    }

    /// Writes what has changed, unless that was tried less than a minute ago.
    pub fn save_in_time(&mut self, recent: &SharedRecent) {
        if self.tried.is_none_or(|tried| tried.elapsed() >= PAUSE) {
            self.save(recent);
        }
    }

    /// Writes what has changed.
    pub fn save(&mut self, recent: &SharedRecent) {
        let stored = {
            let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            let ledger = &mut recent.ledger;
            if !ledger.changed && !self.file.is_unsaved() {
                return;
            }
            ledger.changed = false;
            ledger.forget_old(moment::now());
            Stored {
                audited: StoredRows::of(&ledger.audited),
                dropped: StoredRows::of(&ledger.dropped),
            }
        };
        self.tried = Some(Instant::now());
        self.file.write(&stored);
    }

    /// What the reader of a report has to know, a line each.
    pub fn notes(&self) -> impl Iterator<Item = &String> {
        self.file.notes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Recent;
    use crate::daemon::ledger::tests::record;
    use crate::observe::Told;

    /// With rows of now, which are too young to be forgotten.
    fn shared(ledger: Ledger) -> SharedRecent {
        let recent = SharedRecent::default();
        *recent.lock().unwrap() = Recent::of(ledger);
        recent
    }

    #[test]
    fn the_ledger_outlasts_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let (mut store, ledger) = LedgerStore::open(&state);
        let recent = shared(ledger);
        store.save(&recent);
        assert!(!state.join(FILE).exists(), "nothing has changed");
        let now = moment::now();
        for port in [22, 23] {
            let mut recent = recent.lock().unwrap();
            recent.ledger.note(&record(Told::Audit, 7, port, now - 5));
            recent.ledger.note(&record(Told::Deny, 8, port, now - 5));
        }
        store.save_in_time(&recent);
        let (again, kept) = LedgerStore::open(&state);
        assert_eq!(kept, recent.lock().unwrap().ledger);
        assert_eq!(kept.audited.sorted().count(), 2);
        assert_eq!(again.notes().count(), 0);
        // Less than a minute later nothing is written, but at the end it is.
        recent
            .lock()
            .unwrap()
            .ledger
            .note(&record(Told::Audit, 9, 1, now));
        store.save_in_time(&recent);
        assert_eq!(LedgerStore::open(&state).1, kept);
        store.save(&recent);
        assert_eq!(LedgerStore::open(&state).1.audited.sorted().count(), 3);
    }

    #[test]
    fn what_cannot_be_stored_is_told_and_stored_when_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::write(&state, "").unwrap();
        let (mut store, ledger) = LedgerStore::open(&state);
        let recent = shared(ledger);
        let record = record(Told::Audit, 7, 22, moment::now());
        recent.lock().unwrap().ledger.note(&record);
        store.save(&recent);
        let told = store.notes().next().unwrap();
        assert!(told.contains("paths.state_dir"), "{told}");
        std::fs::remove_file(&state).unwrap();
        store.save(&recent);
        assert_eq!(store.notes().count(), 0);
        assert_eq!(LedgerStore::open(&state).1.audited.sorted().count(), 1);
    }

    #[test]
    fn a_clock_that_was_wrong_leaves_no_rows_of_the_future() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, ledger) = LedgerStore::open(dir.path());
        let recent = shared(ledger);
        let now = moment::now();
        let future = record(Told::Audit, 7, 22, now + 86_400);
        recent.lock().unwrap().ledger.note(&future);
        store.save(&recent);
        let (_, kept) = LedgerStore::open(dir.path());
        let (_, row) = kept.audited.sorted().next().unwrap();
        assert!((now..now + 60).contains(&row.last), "{row:?}");
        assert_eq!(row.first, row.last);
    }
}
