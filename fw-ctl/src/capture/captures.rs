//! Who captures, and how many bytes of a packet they want. The datapath is tapped while
//! somebody does, for the longest that is wanted, and not at all otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::{CaptureQuery, Caught, MAX_SNAPLEN};
use crate::control::protocol::{Failure, Reply};
use crate::exit;
use crate::observe::{Lost, Span, Telling};

/// What a slow one may be behind: packets, of [`MAX_SNAPLEN`] bytes at most.
const BACKLOG: usize = 512;

/// Where packets are told.
pub type Tapped = broadcast::Sender<Caught>;

/// Taps the datapath, which tells packets from then on.
pub type Open = Box<dyn Fn(Tapped) -> Result<Box<dyn Opened>, Failure> + Send + Sync>;

/// A tap; it ends when it is dropped.
pub trait Opened: Send {
    /// Bytes of each packet that are told from now on, at most.
    ///
    /// # Errors
    /// The kernel refuses.
    fn set_snaplen(&mut self, snaplen: u32) -> Result<(), Failure>;
}

/// Those who capture.
pub struct Captures {
    live: Tapped,
    open: Open,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What each wants.
    wanted: BTreeMap<u64, u32>,
    next: u64,
    tap: Option<Box<dyn Opened>>,
}

impl State {
    fn longest(&self) -> u32 {
        self.wanted.values().copied().max().unwrap_or_default()
    }
}

impl Captures {
    /// Nobody captures yet; `open` is how the datapath is tapped.
    #[must_use]
    pub fn new(open: Open) -> Self {
        Self {
            live: broadcast::channel(BACKLOG).0,
            open,
            state: Mutex::default(),
        }
    }

    /// Where there is no datapath.
    #[cfg(test)]
    pub fn untapped() -> Self {
        Self::new(Box::new(|_| {
            let message = "there is no datapath";
            Err(Failure::new(exit::UNREACHABLE, message))
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody captures.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.state().wanted.is_empty()
    }

    /// Tells those who capture of packets that were not captured.
    pub fn tell_lost(&self, lost: Lost) {
        // Nobody may be there to hear it.
        let _ = self.live.send(Caught::Lost(lost));
    }

    /// Captures from now on, until what is returned is dropped.
    ///
    /// # Errors
    /// The query is wrong, or the kernel refuses.
    pub fn begin(self: &Arc<Self>, query: CaptureQuery) -> Result<Capture, Failure> {
        let CaptureQuery { snaplen, filters } = query;
        if !(1..=MAX_SNAPLEN).contains(&snaplen) {
            let message = format!("a snaplen is from 1 to {MAX_SNAPLEN} bytes, not {snaplen}");
            return Err(Failure::new(exit::USAGE, message));
        }
        let mut state = self.state();
        let live = self.live.subscribe();
        let mut tap = match state.tap.take() {
            Some(tap) => tap,
            None => (self.open)(self.live.clone())?,
        };
        let before = state.longest();
        if snaplen > before
            && let Err(failure) = tap.set_snaplen(snaplen)
        {
            state.tap = (before > 0).then_some(tap);
            return Err(failure);
        }
        state.tap = Some(tap);
        let number = state.next;
        state.next += 1;
        state.wanted.insert(number, snaplen);
        drop(state);
        let span = Span {
            follow: true,
            ..Span::default()
        };
        let view = move |caught| match caught {
            Caught::Packet(packet) if packet.is_wanted(&filters) => {
                let packet = Arc::unwrap_or_clone(packet).cut(snaplen);
                vec![Reply::Packet(Box::new(packet))]
            }
            Caught::Packet(_) => Vec::new(),
            Caught::Lost(lost) => vec![Reply::Lost(lost)],
        };
        Ok(Capture {
            telling: Telling::new(Vec::new(), live, span, view),
            place: Place {
                captures: Arc::clone(self),
                number,
            },
        })
    }

    fn end(&self, number: u64) {
        let mut state = self.state();
        let before = state.longest();
        state.wanted.remove(&number);
        let now = state.longest();
        if now == 0 {
            state.tap = None;
        } else if now < before
            && let Some(tap) = &mut state.tap
            && let Err(failure) = tap.set_snaplen(now)
        {
            tracing::warn!("captured packets stay longer than anybody wants: {failure}");
        }
    }
}

/// Somebody who captures.
pub struct Capture {
    /// What he is told.
    pub telling: Telling<Caught, Reply>,
    /// Until when.
    pub place: Place,
}

/// As long as it is there, somebody captures.
pub struct Place {
    captures: Arc<Captures>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.captures.end(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Link, Packet};
    use super::*;
    use crate::observe::filter::{Filter, Filters};
    use crate::observe::text::tests::record;
    use crate::observe::{LostSource, Next, Record, Told};

    /// What the taps were told, in order; 0: one has ended.
    type Log = Arc<Mutex<Vec<u32>>>;

    struct Tap(Log);

    impl Opened for Tap {
        fn set_snaplen(&mut self, snaplen: u32) -> Result<(), Failure> {
            if snaplen == 666 {
                return Err(Failure::new(exit::UNREACHABLE, "refused"));
            }
            self.0.lock().unwrap().push(snaplen);
            Ok(())
        }
    }

    impl Drop for Tap {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(0);
        }
    }

    fn captures() -> (Arc<Captures>, Log) {
        let log = Log::default();
        let of_tap = Arc::clone(&log);
        let open =
            move |_| -> Result<Box<dyn Opened>, Failure> { Ok(Box::new(Tap(Arc::clone(&of_tap)))) };
        (Arc::new(Captures::new(Box::new(open))), log)
    }

    fn query(snaplen: u32) -> CaptureQuery {
        CaptureQuery {
            snaplen,
            filters: Filters::default(),
        }
    }

    fn taken(log: &Log) -> Vec<u32> {
        std::mem::take(&mut log.lock().unwrap())
    }

    #[test]
    fn the_tap_is_there_while_somebody_captures_and_as_long_as_the_longest_wants() {
        let (captures, log) = captures();
        assert!(!captures.any());
        let short = captures.begin(query(64)).unwrap();
        let long = captures.begin(query(1_000)).unwrap();
        let shorter = captures.begin(query(32)).unwrap();
        assert_eq!(taken(&log), [64, 1_000]);
        assert!(captures.begin(query(666)).is_ok(), "it is long enough");
        assert!(taken(&log).is_empty());
        drop(long);
        assert_eq!(taken(&log), [64]);
        // Those who are there already go on.
        let refused = captures.begin(query(666)).err().unwrap();
        assert_eq!(refused.message, "refused");
        assert!(captures.any() && taken(&log).is_empty());
        drop(shorter);
        drop(short);
        assert_eq!(taken(&log), [0]);
        assert!(!captures.any());
        // Nobody captures: the tap that was refused is not kept.
        assert!(captures.begin(query(666)).is_err());
        assert_eq!(taken(&log), [0]);
        for wrong in [0, MAX_SNAPLEN + 1] {
            let refused = captures.begin(query(wrong)).err().unwrap();
            assert_eq!(refused.exit, exit::USAGE);
        }
        assert!(!captures.any() && taken(&log).is_empty());
    }

    #[tokio::test]
    async fn each_is_told_what_he_wants_as_short_as_he_wants_it() {
        let (captures, _log) = captures();
        let mut audited = query(4);
        audited.filters.allow.push(Filter {
            verdict: vec![Told::Audit],
            ..Filter::default()
        });
        let mut audited = captures.begin(audited).unwrap();
        let mut all = captures.begin(query(100)).unwrap();
        for told in [Told::Deny, Told::Audit] {
            let packet = Packet {
                record: Arc::new(Record {
                    told,
                    reason: Some(0),
                    ..record()
                }),
                link: Link::Ip,
                length: 20,
                bytes: (0..20).collect(),
            };
            captures
                .live
                .send(Caught::Packet(Arc::new(packet)))
                .unwrap();
        }
        captures.tell_lost(Lost {
            time: 1,
            node: "default/node1".into(),
            source: LostSource::Kernel,
            count: 7,
            cpu: None,
            of: Vec::new(),
        });
        let deny = (Some(Told::Deny), 20);
        let audit = |length| (Some(Told::Audit), length);
        let lost = (None, 7);
        assert_eq!(told(&mut all, 3).await, [deny, audit(20), lost]);
        assert_eq!(told(&mut audited, 2).await, [audit(4), lost]);
    }

    /// What became of the next packets, and their lengths; of lost ones, how many.
    async fn told(capture: &mut Capture, number: usize) -> Vec<(Option<Told>, usize)> {
        let mut told = Vec::new();
        while told.len() < number {
            told.push(match capture.telling.next().await {
                Some(Next::Told(Reply::Packet(packet))) => {
                    (Some(packet.record.told), packet.bytes.len())
                }
                Some(Next::Told(Reply::Lost(lost))) => (None, lost.count as usize),
                other => panic!("{other:?}"),
            });
        }
        told
    }
}
