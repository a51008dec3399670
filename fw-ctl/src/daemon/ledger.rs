//! What was dropped and what audit mode let pass, for weeks: what `fw-ctl audit report`
//! tells and `fw-ctl policy suggest` chooses from.
//!
//! One row for each peer, service and reason, not for each packet: the datapath reports a
//! new connection, and of many at once a sample. Bounded, whoever knocks. When there are
//! too many, those go first that came once, from strangers: on a node that the internet
//! can reach most rows are scans, and the one backup of the night must not be displaced by
//! them. What was dropped and what was audited are kept apart, so that a flood of the one
//! does not displace the other.

use std::collections::HashMap;
use std::net::IpAddr;

use fw_common::wire::Direction;
use serde::{Deserialize, Serialize};

use crate::harm::Seen;
use crate::observe::{Record, Told, WORLD};
use crate::policy::rules::{ICMP, ICMPV6};

/// Rows of each kind: some 100 bytes each.
pub(super) const MOST: usize = 4_096;
/// When there are too many, so many are forgotten at once: sorting them costs.
const FORGOTTEN_AT_ONCE: usize = MOST / 4;
/// What was not seen for so many seconds is forgotten.
pub(super) const OLDEST: u64 = 30 * 24 * 3_600;
/// What came again after so many seconds came more than once: retransmissions and a
/// browser's six connections are one visit.
const AGAIN: u64 = 60;
const NANOSECONDS: u64 = 1_000_000_000;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Whether the node began it.
    pub egress: bool,
    /// The end that is not the node's; unspecified of what could not be read so far.
    pub remote: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port; of ICMP the type.
    pub service: u16,
    /// Id of the VLAN, 0 for none.
    pub vlan: u16,
    /// Slot of the [`fw_common::wire::DropReason`].
    pub reason: u8,
}

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The node's end, the last time.
    pub local: IpAddr,
    /// When it was first reported, in seconds since 1970.
    pub first: u64,
    /// And last.
    pub last: u64,
    /// How often it was reported.
    pub count: u64,
    /// Whether the inventory knows the peer.
    pub known: bool,
}

/// Rows of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    rows: HashMap<Key, Row>,
    displaced: u64,
}

/// What was audited, and what was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Audit mode let it pass.
    pub audited: Rows,
    /// It was dropped.
    pub dropped: Rows,
    /// Whether anything was taken down since it was last stored.
    pub(super) changed: bool,
}

impl Ledger {
    /// Takes down what was reported, unless it was allowed.
    pub fn note(&mut self, record: &Record) {
        let rows = match record.told {
            Told::Allow => return,
            Told::Audit => &mut self.audited,
            Told::Deny => &mut self.dropped,
        };
        let icmp = [ICMP, ICMPV6].contains(&record.protocol);
        let (remote, local) = if record.ingress {
            (&record.source, &record.destination)
        } else {
            (&record.destination, &record.source)
        };
        let key = Key {
            egress: !record.ingress,
            remote: remote.address,
            protocol: record.protocol,
            service: if icmp {
                record.icmp_type.into()
            } else {
                record.destination.port
            },
            vlan: record.vlan,
            reason: record.reason.unwrap_or_default(),
        };
        let known = remote.identity.number != WORLD;
        rows.note(key, local.address, record.time / NANOSECONDS, known);
        self.changed = true;
    }

    /// What audit mode let pass within `age` seconds before `now`, the newest first; of
    /// what could be read.
    #[must_use]
    pub fn audited_since(&self, now: u64, age: u64) -> Vec<Seen> {
        let rows = self.audited.rows.iter();
        let mut seen: Vec<_> = rows
            .filter(|(key, row)| {
                !key.remote.is_unspecified() && now <= row.last.saturating_add(age)
            })
            .map(|(key, row)| key.seen(row, now))
            .collect();
        seen.sort_by_key(|seen| (seen.age, seen.remote, seen.service));
        seen
    }

    /// Forgets what is too old.
    pub(super) fn forget_old(&mut self, now: u64) {
        for rows in [&mut self.audited, &mut self.dropped] {
            rows.rows
                .retain(|_, row| now <= row.last.saturating_add(OLDEST));
        }
    }
}

impl Rows {
    /// Rows as they were stored. A clock that has been put back makes none of the future.
    pub(super) fn of(rows: impl IntoIterator<Item = (Key, Row)>, displaced: u64, now: u64) -> Self {
        let rows = rows.into_iter().take(MOST).map(|(key, mut row)| {
            row.last = row.last.min(now);
            row.first = row.first.min(row.last);
            (key, row)
        });
        Self {
            rows: rows.collect(),
            displaced,
        }
    }

    fn note(&mut self, key: Key, local: IpAddr, time: u64, known: bool) {
        if self.rows.len() >= MOST && !self.rows.contains_key(&key) {
            self.make_room();
        }
        let row = self.rows.entry(key).or_insert(Row {
            local,
            first: time,
            last: time,
            count: 0,
            known,
        });
        row.count = row.count.saturating_add(1);
        row.known = known;
        // Events of several CPUs may come out of order.
        row.first = row.first.min(time);
        if time >= row.last {
            (row.last, row.local) = (time, local);
        }
    }

    /// Forgets a quarter: strangers who came once before all others, and then what was not
    /// seen for longest.
    fn make_room(&mut self) {
        let worth = |row: &Row| (row.known, row.last - row.first >= AGAIN, row.last);
        let mut all: Vec<_> = self
            .rows
            .iter()
            .map(|(key, row)| (worth(row), *key))
            .collect();
        all.select_nth_unstable(FORGOTTEN_AT_ONCE - 1);
        for (_, key) in &all[..FORGOTTEN_AT_ONCE] {
            self.rows.remove(key);
        }
        self.displaced += FORGOTTEN_AT_ONCE as u64;
    }

    /// Every row, in one order.
    pub fn sorted(&self) -> impl Iterator<Item = (Key, Row)> {
        let mut all: Vec<_> = self.rows.iter().map(|(key, row)| (*key, *row)).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.into_iter()
    }

    /// How many had to be forgotten for others.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        self.displaced
    }
}

impl Key {
    /// The same as others tell it; `now` in seconds since 1970.
    #[must_use]
    pub fn seen(&self, row: &Row, now: u64) -> Seen {
        Seen {
            direction: if self.egress {
                Direction::Egress
            } else {
                Direction::Ingress
            },
            local: row.local,
            remote: self.remote,
            protocol: self.protocol,
            service: self.service,
            vlan: self.vlan,
            reason: self.reason,
            count: row.count,
            age: now.saturating_sub(row.last),
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
pub(super) mod tests;
