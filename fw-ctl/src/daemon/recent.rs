//! What events told of new connections: what was allowed, for a day, so that a change can
//! be judged by traffic that is not open just now; and what was not, in the [`Ledger`].
//!
//! Bounded, whoever knocks: one entry for each peer and service, not for each packet, and
//! what was not seen for longest is forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use fw_common::wire::{Action, Address, Direction, Event};

use super::Ledger;
use crate::harm::Seen;
use crate::observe::Record;
use crate::policy::rules::{ICMP, ICMPV6};

/// Peers with a service: some 100 bytes each.
const MOST: usize = 4_096;
/// When there are too many, so many are forgotten at once: sorting them costs.
const FORGOTTEN_AT_ONCE: usize = MOST / 4;
/// Nothing older is told.
const OLDEST_SECONDS: u64 = 24 * 3_600;
const NANOSECONDS: u64 = 1_000_000_000;

/// What the task that reads events and the one that makes changes share.
pub type SharedRecent = Arc<Mutex<Recent>>;

/// What was seen.
#[derive(Debug, Default)]
pub struct Recent {
    allowed: Table,
    /// What was audited, and what was dropped.
    pub(super) ledger: Ledger,
}

type Table = HashMap<Key, Entry>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    egress: bool,
    local: Address,
    remote: Address,
    protocol: u8,
    service: u16,
    vlan: u16,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    count: u64,
    /// Nanoseconds of the monotonic clock.
    last: u64,
}

impl Recent {
    /// With a ledger that was stored.
    pub(super) fn of(ledger: Ledger) -> Self {
        Self {
            ledger,
            ..Self::default()
        }
    }

    /// Takes down an event, and what it is with names.
    pub fn note(&mut self, event: &Event, record: &Record) {
        self.ledger.note(record);
        self.allow(event);
    }

    fn allow(&mut self, event: &Event) {
        // Of what could not be read so far, nobody learns anything.
        if event.action != Action::Allow as u8 || event.family == 0 {
            return;
        }
        let key = Key::of(event);
        if self.allowed.len() >= MOST && !self.allowed.contains_key(&key) {
            forget(&mut self.allowed);
        }
        let entry = self.allowed.entry(key);
        let entry = entry.or_insert(Entry { count: 0, last: 0 });
        entry.count += 1;
        // Events of several CPUs may come out of order.
        entry.last = entry.last.max(event.time);
    }

    /// What was allowed, at `now` of the monotonic clock in nanoseconds.
    #[must_use]
    pub fn allowed(&self, now: u64) -> Vec<Seen> {
        told(&self.allowed, now)
    }

    /// What was audited within a day before `now`, in seconds since 1970.
    #[must_use]
    pub fn audited(&self, now: u64) -> Vec<Seen> {
        self.ledger.audited_since(now, OLDEST_SECONDS)
    }
}

/// Takes down an event, whatever became of other threads.
pub fn note(recent: &SharedRecent, event: &Event, record: &Record) {
    recent
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .note(event, record);
}

impl Key {
    fn of(event: &Event) -> Self {
        let egress = event.direction == Direction::Egress as u8;
        let (local, remote) = if egress {
            (event.source, event.destination)
        } else {
            (event.destination, event.source)
        };
        let service = match event.protocol {
            ICMP | ICMPV6 => u16::from(event.icmp_type),
            _ => event.destination_port,
        };
        Self {
            egress,
            local,
            remote,
            protocol: event.protocol,
            service,
            vlan: event.vlan,
        }
    }
}

fn forget(table: &mut Table) {
    let mut times: Vec<_> = table.values().map(|entry| entry.last).collect();
    let (_, limit, _) = times.select_nth_unstable(FORGOTTEN_AT_ONCE - 1);
    let limit = *limit;
    let mut left = FORGOTTEN_AT_ONCE;
    table.retain(|_, entry| {
        let goes = entry.last <= limit && left > 0;
        left -= usize::from(goes);
        !goes
    });
}

fn told(table: &Table, now: u64) -> Vec<Seen> {
    let seen = |(key, entry): (&Key, &Entry)| Seen {
        direction: if key.egress {
            Direction::Egress
        } else {
            Direction::Ingress
        },
        local: IpAddr::from(key.local),
        remote: IpAddr::from(key.remote),
        protocol: key.protocol,
        service: key.service,
        vlan: key.vlan,
        reason: 0,
        count: entry.count,
        age: now.saturating_sub(entry.last) / NANOSECONDS,
    };
    let mut all: Vec<_> = table.iter().map(seen).collect();
    all.retain(|seen| seen.age <= OLDEST_SECONDS);
    all.sort_by_key(|seen| (seen.age, seen.remote, seen.service));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: Action, remote: u32, service: u16, seconds: u64) -> Event {
        Event {
            time: seconds * NANOSECONDS,
            source: Address::v4(remote.to_be_bytes()),
            destination: Address::v4([10, 0, 0, 10]),
            source_port: remote as u16,
            destination_port: service,
            action: action as u8,
            direction: Direction::Ingress as u8,
            family: 4,
            protocol: 6,
            ..Event::default()
        }
    }

    #[test]
    fn one_entry_for_a_peer_and_a_service_with_its_count_and_last_time() {
        let mut recent = Recent::default();
        for (seconds, port) in [(10, 1), (30, 2), (20, 3)] {
            recent.allow(&Event {
                source_port: port,
                ..event(Action::Allow, 7, 22, seconds)
            });
        }
        recent.allow(&event(Action::Allow, 7, 23, 40));
        recent.allow(&event(Action::Audit, 7, 22, 41));
        recent.allow(&event(Action::Deny, 8, 22, 42));
        recent.allow(&Event {
            family: 0,
            ..event(Action::Allow, 9, 22, 42)
        });
        let now = 42 * NANOSECONDS;
        let allowed = recent.allowed(now);
        let short: Vec<_> = allowed
            .iter()
            .map(|s| (s.service, s.count, s.age))
            .collect();
        assert_eq!(short, [(23, 1, 2), (22, 3, 12)]);
        assert_eq!(allowed[1].remote, IpAddr::from([0, 0, 0, 7]));
        assert_eq!(allowed[1].local, IpAddr::from([10, 0, 0, 10]));
        // A day later nobody cares.
        let last = 40 * NANOSECONDS + OLDEST_SECONDS * NANOSECONDS;
        assert_eq!(recent.allowed(last).len(), 1);
        assert_eq!(recent.allowed(last + NANOSECONDS).len(), 0);
    }

    #[test]
    fn what_the_node_began_and_icmp_have_their_own_places() {
        let mut recent = Recent::default();
        recent.allow(&Event {
            direction: Direction::Egress as u8,
            ..event(Action::Allow, 7, 443, 1)
        });
        recent.allow(&Event {
            protocol: ICMP,
            icmp_type: 8,
            ..event(Action::Allow, 7, 0, 2)
        });
        let seen = recent.allowed(2 * NANOSECONDS);
        assert_eq!((seen[0].protocol, seen[0].service), (ICMP, 8));
        assert_eq!(seen[1].direction, Direction::Egress);
        assert_eq!(seen[1].local, IpAddr::from([0, 0, 0, 7]));
        assert_eq!(seen[1].remote, IpAddr::from([10, 0, 0, 10]));
    }

    #[test]
    fn a_flood_displaces_itself_and_not_what_is_seen_again_and_again() {
        let mut recent = Recent::default();
        for number in 0..10 * MOST as u32 {
            let seconds = u64::from(number) / 100;
            recent.allow(&event(Action::Allow, 1_000 + number, 23, seconds));
            if number % 100 == 0 {
                recent.allow(&event(Action::Allow, 1, 80, seconds));
            }
            assert!(recent.allowed.len() <= MOST);
        }
        let allowed = recent.allowed(0);
        let steady = allowed.iter().find(|seen| seen.service == 80).unwrap();
        assert_eq!(steady.count, (10 * MOST as u64).div_ceil(100));
    }
}
