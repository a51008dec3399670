//! What was observed lately, and what is from now on: a bounded ring of flows and of what was
//! lost, and those who listen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::{Flow, Lost, LostOf, LostSource, Query, Record, Span, Tally, Telling, now};

/// Records that a slow listener may be behind before it misses some.
const BACKLOG: usize = 4_096;
/// Seconds over which the rate is measured.
const RATE_SECONDS: u64 = 60;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A packet was judged.
    Record(Arc<Record>),
    /// Packets were, and nobody knows which.
    Lost(Lost),
}

/// The same as Hubble tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A message about a packet.
    Flow(Flow),
    /// See [`Happened::Lost`].
    Lost(Lost),
}

impl Seen {
    /// What Hubble tells of it.
    #[must_use]
    pub fn of(happened: Happened) -> Vec<Self> {
        match happened {
            Happened::Record(record) => Flow::of(&record).into_iter().map(Self::Flow).collect(),
            Happened::Lost(lost) => vec![Self::Lost(lost)],
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

/// A ring of what was seen.
struct Ring {
    seen: VecDeque<Seen>,
    capacity: usize,
    /// Flows of `seen`.
    flows: usize,
    /// Flows that were ever in it.
    total: u64,
    tally: Tally,
    /// Flows in each of the last seconds, by second since the begin.
    rate: [(u64, u64); RATE_SECONDS as usize],
}

impl Ring {
    fn push(&mut self, seen: Seen, second: u64) {
        if self.seen.len() >= self.capacity
            && let Some(Seen::Flow(_)) = self.seen.pop_front()
        {
            self.flows -= 1;
        }
        let is_flow = matches!(seen, Seen::Flow(_));
        self.seen.push_back(seen);
        if !is_flow {
            return;
        }
        self.flows += 1;
        self.total += 1;
        let slot = &mut self.rate[(second % RATE_SECONDS) as usize];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += 1;
    }
}

/// The past and the present.
pub struct Observed {
    /// Records that were told. Whoever tells holds it to the end, so that the order is one.
    told: Mutex<u64>,
    ring: Mutex<Ring>,
    live: broadcast::Sender<Happened>,
    node: Arc<str>,
    began: Instant,
}

impl Observed {
    /// Remembers the last `capacity` flows of `node` (`cluster/node`).
    #[must_use]
    pub fn new(capacity: usize, node: &str) -> Self {
        Self::with_backlog(capacity, BACKLOG, node)
    }

    /// Where a listener may be so many records behind.
    #[must_use]
    pub fn with_backlog(capacity: usize, backlog: usize, node: &str) -> Self {
        Self {
            told: Mutex::new(0),
            ring: Mutex::new(Ring {
                seen: VecDeque::new(),
                capacity: capacity.max(1),
                flows: 0,
                total: 0,
                tally: Tally::default(),
                rate: [(0, 0); RATE_SECONDS as usize],
            }),
            live: broadcast::channel(backlog).0,
            node: node.into(),
            began: Instant::now(),
        }
    }

    /// `cluster/node`
    #[must_use]
    pub fn node(&self) -> &Arc<str> {
        &self.node
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a record, and tells those who listen.
    pub fn tell(&self, mut record: Record) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told += 1;
        record.number = *told;
        self.remember(&Happened::Record(Arc::new(record)));
    }

    /// The same of packets that the kernel has not reported.
    pub fn tell_lost(&self, count: u64, cpu: Option<u32>, of: Vec<LostOf>) {
        let lost = Lost {
            cpu,
            of,
            ..self.lost(LostSource::Kernel, count)
        };
        let _told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.remember(&Happened::Lost(lost));
    }

    /// What a listener hears who has missed so many; they are counted.
    #[must_use]
    pub fn missed(&self, count: u64) -> Lost {
        self.ring().tally.miss(count);
        self.lost(LostSource::Listener, count)
    }

    /// What those who capture hear of packets that the kernel has not reported.
    #[must_use]
    pub fn unreported(&self, count: u64) -> Lost {
        self.lost(LostSource::Kernel, count)
    }

    fn lost(&self, source: LostSource, count: u64) -> Lost {
        Lost {
            time: now(),
            node: Arc::clone(&self.node),
            source,
            count,
            cpu: None,
            of: Vec::new(),
        }
    }

    fn remember(&self, happened: &Happened) {
        // Whoever asks for the past waits for the next lines alone, not for what is made here.
        let seen = Seen::of(happened.clone());
        let second = self.began.elapsed().as_secs();
        let mut ring = self.ring();
        if let Happened::Record(record) = happened {
            ring.tally.add(record);
        }
        for one in seen {
            ring.push(one, second);
        }
        // Under the lock, so that nobody gets it twice, or neither as past nor as present.
        // Nobody may be left to hear it: that is no failure.
        let _ = self.live.send(happened.clone());
    }

    /// Everything from now on.
    #[must_use]
    pub fn listen(&self) -> Telling<Happened, Happened> {
        let span = Span {
            follow: true,
            ..Span::default()
        };
        let live = self.live.subscribe();
        Telling::new(Vec::new(), live, span, |happened| vec![happened])
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    /// What a query asks for, of the past and from then on.
    #[must_use]
    pub fn ask(&self, query: Query) -> Telling<Happened, Seen> {
        let ring = self.ring();
        let past: Vec<_> = ring.seen.iter().cloned().collect();
        let live = self.live.subscribe();
        drop(ring);
        // Filters may be slow: nobody waits for them.
        let past = query.of_past(past);
        Telling::new(past, live, query.span, move |happened| {
            query.of_present(happened)
        })
    }

    /// All flows that are remembered, the oldest first.
    #[must_use]
    pub fn past(&self) -> Vec<Flow> {
        let ring = self.ring();
        let flows = ring.seen.iter().filter_map(|seen| match seen {
            Seen::Flow(flow) => Some(flow.clone()),
            Seen::Lost(_) => None,
        });
        flows.collect()
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
            flows: ring.flows,
            capacity: ring.capacity,
            seen: ring.total,
            uptime,
            per_minute: recent.map(|(_, count)| count).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::filter::{Filter, Filters};
    use crate::observe::text::tests::record;
    use crate::observe::{Message, Next, Told};

    fn at(time: u64, told: Told) -> Record {
        Record {
            time,
            told,
            reason: (told != Told::Allow).then_some(0),
            ..record()
        }
    }

    /// Times of flows; 0 stands for what was lost.
    async fn times(observed: &Observed, query: Query) -> Vec<u64> {
        let mut telling = observed.ask(query);
        let mut times = Vec::new();
        while let Some(next) = telling.next().await {
            times.push(match next {
                Next::Told(Seen::Flow(flow)) => flow.record.time,
                Next::Told(Seen::Lost(_)) => 0,
                Next::Missed(missed) => panic!("{missed} missed"),
            });
        }
        times
    }

    #[tokio::test]
    async fn of_the_past_the_first_the_last_a_time_or_all() {
        let observed = Observed::new(100, "default/node1");
        for time in 1..=9 {
            observed.tell(at(time, Told::Audit));
        }
        let ask = async |span: Span| times(&observed, Query::of(span)).await;
        let all = Span::default;
        assert_eq!(ask(all()).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let first = Some(2);
        assert_eq!(ask(Span { first, ..all() }).await, [1, 2]);
        let last = Some(2);
        assert_eq!(ask(Span { last, ..all() }).await, [8, 9]);
        let between = Span {
            since: Some(3),
            until: Some(6),
            ..all()
        };
        assert_eq!(ask(between).await, [3, 4, 5, 6]);
        assert_eq!(ask(Span { last, ..between }).await, [5, 6]);
        let none = Filter {
            verdict: vec![Told::Deny],
            ..Filter::default()
        };
        let filters = Filters {
            allow: vec![none],
            ..Filters::default()
        };
        let query = Query {
            filters,
            span: between,
        };
        assert!(times(&observed, query).await.is_empty());
    }

    #[tokio::test]
    async fn what_was_lost_is_told_in_its_place_and_is_none_of_so_many() {
        let observed = Observed::new(4, "default/node1");
        for time in 1..=3 {
            observed.tell(at(time, Told::Audit));
        }
        observed.tell_lost(70, Some(1), Vec::new());
        observed.tell(at(4, Told::Audit));
        assert_eq!(observed.extent().flows, 3);
        let ask = async |span: Span| times(&observed, Query::of(span)).await;
        let all = Span::default;
        assert_eq!(ask(all()).await, [2, 3, 0, 4]);
        let last = Some(2);
        assert_eq!(ask(Span { last, ..all() }).await, [3, 0, 4]);
        let until = Some(10);
        assert_eq!(ask(Span { until, ..all() }).await, [2, 3, 4]);
        // No flow is one of those.
        let mut none = Query::default();
        none.filters.allow.push(Filter {
            verdict: vec![Told::Deny],
            ..Filter::default()
        });
        assert_eq!(times(&observed, none).await, [0]);
        observed.tell_lost(1, None, Vec::new());
        assert_eq!(observed.past().len(), 2);
        assert_eq!(observed.extent().flows, 2);
    }

    #[test]
    fn the_ring_is_bounded_and_counts_what_it_forgot() {
        let observed = Observed::new(3, "default/node1");
        for time in 1..=4 {
            observed.tell(at(time, Told::Deny));
        }
        let flows = observed.past();
        let times: Vec<_> = flows.iter().map(|flow| flow.record.time).collect();
        assert_eq!(times, [3, 4, 4]);
        let messages: Vec<_> = flows.iter().map(|flow| flow.message).collect();
        assert_eq!(
            messages,
            [Message::Drop, Message::PolicyVerdict, Message::Drop]
        );
        let extent = observed.extent();
        assert_eq!((extent.flows, extent.capacity, extent.seen), (3, 3, 8));
        assert_eq!(extent.per_minute, 8);
    }

    /// Whatever is told while somebody begins to listen, he gets once, in one order for all.
    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_lost_or_doubled_between_past_and_present() {
        const EACH: u64 = 1_000;
        let observed = Arc::new(Observed::new(100_000, "default/node1"));
        let tellers = [0, 1].map(|_| {
            let teller = Arc::clone(&observed);
            std::thread::spawn(move || {
                for time in 1..=EACH {
                    teller.tell(at(time, Told::Audit));
                }
            })
        });
        while observed.extent().seen < 100 {}
        let mut telling = observed.ask(Query::of(Span {
            follow: true,
            ..Span::default()
        }));
        for teller in tellers {
            teller.join().unwrap();
        }
        for number in 1..=2 * EACH {
            match telling.next().await {
                Some(Next::Told(Seen::Flow(flow))) => assert_eq!(flow.record.number, number),
                other => panic!("{other:?}"),
            }
        }
    }
}
