//! What one who asked is told, one after the other: the past, and then what happens, until he
//! has enough. As fast as he takes it: who is too slow is told how much he missed, and holds
//! up nobody.

use std::collections::VecDeque;
use std::future::pending;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::sleep;

use super::{Span, now};

/// What happened before the last moment may be on its way so long.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// The clock may be set: it is looked at again after this.
const CLOCK_AGE: Duration = Duration::from_secs(1);
/// Who misses something hears of it so often at most.
const OFTEN: Duration = Duration::from_secs(1);

/// The next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<V> {
    /// This.
    Told(V),
    /// So many were missed.
    Missed(u64),
}

/// What of something that happens he wants to hear.
type View<T, V> = Box<dyn Fn(T) -> Vec<V> + Send + Sync>;

/// What is to be told.
pub struct Telling<T, V> {
    waiting: VecDeque<V>,
    live: Receiver<T>,
    view: View<T, V>,
    follow: bool,
    until: Option<u64>,
    missed: u64,
    /// When he heard that he missed something.
    heard: Option<Instant>,
}

impl<T: Clone, V> Telling<T, V> {
    /// The `past`, and what of `live` is in his `view` from then on. Of the `span` this is about
    /// the end.
    pub(crate) fn new(
        past: Vec<V>,
        live: Receiver<T>,
        span: Span,
        view: impl Fn(T) -> Vec<V> + Send + Sync + 'static,
    ) -> Self {
        Self {
            waiting: past.into(),
            live,
            view: Box::new(view),
            follow: span.follow,
            until: span.until,
            missed: 0,
            heard: None,
        }
    }

    /// Waits for the next; `None`: there is nothing more.
    pub async fn next(&mut self) -> Option<Next<V>> {
        loop {
            if let Some(one) = self.waiting.pop_front() {
                return Some(Next::Told(one));
            }
            let wait = self.to_hear();
            if self.missed > 0 && (wait.is_zero() || !self.follow) {
                self.heard = Some(Instant::now());
                return Some(Next::Missed(std::mem::take(&mut self.missed)));
            }
            if !self.follow {
                return None;
            }
            let wait = (self.missed > 0).then_some(wait);
            let left = self.until.map(left);
            if left == Some(Duration::ZERO) {
                self.end();
                continue;
            }
            let left = left.map(|left| left.min(CLOCK_AGE));
            let wait = [wait, left].into_iter().flatten().min();
            tokio::select! {
                biased;
                happened = self.live.recv() => match happened {
                    Ok(happened) => self.waiting.extend((self.view)(happened)),
                    Err(RecvError::Lagged(missed)) => self.missed += missed,
                    Err(RecvError::Closed) => self.follow = false,
                },
                () = after(wait) => {}
            }
        }
    }

    /// How long until he may hear again that he missed something.
    fn to_hear(&self) -> Duration {
        self.heard.map_or(Duration::ZERO, |heard| {
            OFTEN.saturating_sub(heard.elapsed())
        })
    }

    /// What is there already is the rest.
    fn end(&mut self) {
        self.follow = false;
        for _ in 0..self.live.len() {
            match self.live.try_recv() {
                Ok(happened) => self.waiting.extend((self.view)(happened)),
                Err(TryRecvError::Lagged(missed)) => self.missed += missed,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }
}

/// Until that moment is over, and all that happened before it is here.
fn left(until: u64) -> Duration {
    let over = Duration::from_nanos(until).saturating_add(ON_ITS_WAY);
    over.saturating_sub(Duration::from_nanos(now()))
}

/// For ever without a time.
async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::{self, Sender};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn telling(span: Span, backlog: usize) -> (Sender<u64>, Telling<u64, u64>) {
        let (sender, live) = broadcast::channel(backlog);
        let past = vec![1, 2];
        let odd = |number| {
            let odd = (number % 2 == 1).then_some(number);
            odd.into_iter().collect()
        };
        (sender, Telling::new(past, live, span, odd))
    }

    async fn next(telling: &mut Telling<u64, u64>) -> Option<Next<u64>> {
        timeout(SOON, telling.next()).await.unwrap()
    }

    #[tokio::test]
    async fn the_past_and_then_what_happens_if_it_is_followed() {
        for follow in [false, true] {
            let span = Span {
                follow,
                ..Span::default()
            };
            let (sender, mut telling) = telling(span, 8);
            for number in [3, 4, 5] {
                sender.send(number).unwrap();
            }
            drop(sender);
            let mut told = Vec::new();
            while let Some(one) = next(&mut telling).await {
                told.push(one);
            }
            let all: &[u64] = if follow { &[1, 2, 3, 5] } else { &[1, 2] };
            let all: Vec<_> = all.iter().map(|number| Next::Told(*number)).collect();
            assert_eq!(told, all);
        }
    }

    /// Also when nothing happens.
    #[tokio::test]
    async fn it_ends_at_the_moment_until_which_it_was_wanted() {
        let wanted = Duration::from_millis(300);
        let until = now() + u64::try_from(wanted.as_nanos()).unwrap();
        let span = Span {
            follow: true,
            until: Some(until),
            ..Span::default()
        };
        let (sender, mut telling) = telling(span, 8);
        let began = Instant::now();
        for number in [1, 2] {
            assert_eq!(next(&mut telling).await, Some(Next::Told(number)));
        }
        sender.send(3).unwrap();
        assert_eq!(next(&mut telling).await, Some(Next::Told(3)));
        assert_eq!(next(&mut telling).await, None);
        assert!(began.elapsed() >= wanted, "{:?}", began.elapsed());
        // Over when it was asked for: what is there is told, and no more.
        let (sender, mut telling) = super::tests::telling(span, 8);
        sender.send(5).unwrap();
        for number in [1, 2, 5] {
            assert_eq!(next(&mut telling).await, Some(Next::Told(number)));
        }
        assert_eq!(next(&mut telling).await, None);
    }

    #[tokio::test]
    async fn who_is_too_slow_hears_once_a_second_how_much_was_missed() {
        let span = Span {
            follow: true,
            ..Span::default()
        };
        let (sender, mut telling) = telling(span, 4);
        let flood = |from: u64| {
            for number in from..from + 10 {
                sender.send(number).unwrap();
            }
        };
        flood(10);
        for number in [1, 2] {
            assert_eq!(next(&mut telling).await, Some(Next::Told(number)));
        }
        assert_eq!(next(&mut telling).await, Some(Next::Missed(6)));
        let began = Instant::now();
        flood(20);
        for number in [27, 29] {
            assert_eq!(next(&mut telling).await, Some(Next::Told(number)));
        }
        // All ten of before are gone, and six of those.
        assert_eq!(next(&mut telling).await, Some(Next::Missed(10)));
        assert!(began.elapsed() >= OFTEN / 2, "{:?}", began.elapsed());
    }
}
