//! What was observed lately, and what is from now on: a bounded ring of flows, and those who
//! listen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::filter::Filters;
use super::{Flow, Record, Tally};

/// Records that a slow listener may be behind before it misses some.
const BACKLOG: usize = 4_096;
/// Seconds over which the rate is measured.
const RATE_SECONDS: u64 = 60;

/// What somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Which flows.
    pub filters: Filters,
    /// Not before: nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Not after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// So many, the oldest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// So many, the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Go on with what is to come.
    pub follow: bool,
}

impl Query {
    /// Whether a flow is one of those, whatever their number.
    #[must_use]
    pub fn tells(&self, flow: &Flow) -> bool {
        let time = flow.record.time;
        self.since.is_none_or(|since| since <= time)
            && self.until.is_none_or(|until| time <= until)
            && self.filters.tell(flow)
    }

    /// The flows of the past that it asks for, the oldest first.
    fn of_past<'a>(&self, past: impl DoubleEndedIterator<Item = &'a Flow>) -> Vec<Flow> {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let told = past.filter(|flow| self.tells(flow));
        match (self.first, self.last) {
            (Some(first), _) => told.take(count(first)).cloned().collect(),
            (None, Some(last)) => {
                let mut newest: Vec<_> = told.rev().take(count(last)).cloned().collect();
                newest.reverse();
                newest
            }
            (None, None) => told.cloned().collect(),
        }
    }
}

/// How much is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Flows that are remembered.
    pub flows: usize,
    /// For how many there is room.
    pub capacity: usize,
    /// Flows that were ever seen.
    pub seen: u64,
    /// For how long they are.
    pub uptime: Duration,
    /// Flows of the last minute, per minute.
    pub per_minute: u64,
}

impl Extent {
    /// Flows a second, of the last minute.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self
            .uptime
            .as_secs_f64()
            .clamp(1.0, Duration::from_secs(RATE_SECONDS).as_secs_f64());
        f64::from(u32::try_from(self.per_minute).unwrap_or(u32::MAX)) / seconds
    }
}

/// A ring of flows.
struct Ring {
    flows: VecDeque<Flow>,
    capacity: usize,
    seen: u64,
    /// Records that were told.
    told: u64,
    tally: Tally,
    /// Flows in each of the last seconds, by second since the begin.
    rate: [(u64, u64); RATE_SECONDS as usize],
}

impl Ring {
    fn push(&mut self, flow: Flow, second: u64) {
        if self.flows.len() >= self.capacity {
            self.flows.pop_front();
        }
        self.flows.push_back(flow);
        self.seen += 1;
        let slot = &mut self.rate[(second % RATE_SECONDS) as usize];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += 1;
    }
}

/// The past and the present.
pub struct Observed {
    ring: Mutex<Ring>,
    live: broadcast::Sender<Arc<Record>>,
    began: Instant,
}

impl Observed {
    /// Remembers the last `capacity` flows.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::with_backlog(capacity, BACKLOG)
    }

    /// Where a listener may be so many records behind.
    #[must_use]
    pub fn with_backlog(capacity: usize, backlog: usize) -> Self {
        Self {
            ring: Mutex::new(Ring {
                flows: VecDeque::new(),
                capacity: capacity.max(1),
                seen: 0,
                told: 0,
                tally: Tally::default(),
                rate: [(0, 0); RATE_SECONDS as usize],
            }),
            live: broadcast::channel(backlog).0,
            began: Instant::now(),
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a record, and tells those who listen.
    pub fn tell(&self, mut record: Record) {
        let second = self.began.elapsed().as_secs();
        let mut ring = self.ring();
        ring.told += 1;
        record.number = ring.told;
        ring.tally.add(&record);
        let record = Arc::new(record);
        for flow in Flow::of(&record) {
            ring.push(flow, second);
        }
        // Under the lock, so that nobody gets it twice, or neither as past nor as present.
        // Nobody may be left to hear it: that is no failure.
        let _ = self.live.send(record);
    }

    /// Everything from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Record>> {
        self.live.subscribe()
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    /// What a query asks for of the past, and everything from then on.
    #[must_use]
    pub fn ask(&self, query: &Query) -> (Vec<Flow>, broadcast::Receiver<Arc<Record>>) {
        let ring = self.ring();
        // Filters may be slow: nobody waits for them.
        let past: Vec<_> = ring.flows.iter().cloned().collect();
        let live = self.live.subscribe();
        drop(ring);
        (query.of_past(past.iter()), live)
    }

    /// How many records were told, by what they were.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.ring().tally.clone()
    }

    /// How much is there.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let uptime = self.began.elapsed();
        let now = uptime.as_secs();
        let ring = self.ring();
        let recent = ring.rate.iter().filter(|(at, _)| at + RATE_SECONDS > now);
        Extent {
            flows: ring.flows.len(),
            capacity: ring.capacity,
            seen: ring.seen,
            uptime,
            per_minute: recent.map(|(_, count)| count).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::filter::Filter;
    use crate::observe::text::tests::record;
    use crate::observe::{Message, Told};

    fn at(time: u64, told: Told) -> Record {
        Record {
            time,
            told,
            reason: (told != Told::Allow).then_some(0),
            ..record()
        }
    }

    fn times(flows: &[Flow]) -> Vec<u64> {
        flows.iter().map(|flow| flow.record.time).collect()
    }

    #[test]
    fn of_the_past_the_first_the_last_a_time_or_all() {
        let observed = Observed::new(100);
        for time in 1..=9 {
            observed.tell(at(time, Told::Audit));
        }
        let ask = |query: Query| times(&observed.ask(&query).0);
        let all = Query::default();
        assert_eq!(ask(all.clone()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let first = Some(2);
        assert_eq!(
            ask(Query {
                first,
                ..all.clone()
            }),
            [1, 2]
        );
        let last = Some(2);
        assert_eq!(
            ask(Query {
                last,
                ..all.clone()
            }),
            [8, 9]
        );
        let between = Query {
            since: Some(3),
            until: Some(6),
            ..all
        };
        assert_eq!(ask(between.clone()), [3, 4, 5, 6]);
        assert_eq!(
            ask(Query {
                last,
                ..between.clone()
            }),
            [5, 6]
        );
        let none = Filter {
            verdict: vec![Told::Deny],
            ..Filter::default()
        };
        let filters = Filters {
            allow: vec![none],
            ..Filters::default()
        };
        assert!(ask(Query { filters, ..between }).is_empty());
    }

    #[test]
    fn the_ring_is_bounded_and_counts_what_it_forgot() {
        let observed = Observed::new(3);
        for time in 1..=4 {
            observed.tell(at(time, Told::Deny));
        }
        let (flows, _) = observed.ask(&Query::default());
        assert_eq!(times(&flows), [3, 4, 4]);
        let messages: Vec<_> = flows.iter().map(|flow| flow.message).collect();
        assert_eq!(
            messages,
            [Message::Drop, Message::PolicyVerdict, Message::Drop]
        );
        let extent = observed.extent();
        assert_eq!((extent.flows, extent.capacity, extent.seen), (3, 3, 8));
        assert_eq!(extent.per_minute, 8);
    }

    /// Whatever is told while somebody begins to listen, he gets once.
    #[test]
    fn nothing_is_lost_or_doubled_between_past_and_present() {
        let observed = Arc::new(Observed::new(100_000));
        let teller = Arc::clone(&observed);
        let told = std::thread::spawn(move || {
            for time in 1..=3_000 {
                teller.tell(at(time, Told::Audit));
            }
        });
        while observed.extent().seen < 100 {}
        let (past, mut live) = observed.ask(&Query::default());
        told.join().unwrap();
        let mut all = times(&past);
        while let Ok(record) = live.try_recv() {
            all.push(record.time);
        }
        assert_eq!(all, (1..=3_000).collect::<Vec<_>>());
    }
}
