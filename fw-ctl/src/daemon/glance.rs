//! What the files say at this moment, for those who ask how it goes.
//!
//! Files may be on a file system that does not answer, and then reading them never ends: it
//! is done beside the loop that filters, and nobody waits for it long.

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::Seen;
use crate::control::server::Call;

/// So long files may take to be read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls that are answered with what the files say.
#[derive(Default)]
pub struct Glance {
    reading: Option<JoinHandle<Seen>>,
    /// Those who asked before it began.
    asked: Vec<Waiting>,
    /// Those who asked since: what is being read may be older than what they mean.
    later: Vec<Waiting>,
}

struct Waiting {
    call: Call,
    until: Instant,
}

impl Glance {
    /// A call waits; [`Self::next`] begins to read if nobody does.
    pub fn ask(&mut self, call: Call) {
        let until = Instant::now() + PATIENCE;
        self.later.push(Waiting { call, until });
    }

    /// Begins to read, if somebody waits for it and nothing is being read.
    pub fn next(&mut self, read: impl FnOnce() -> Seen + Send + 'static) {
        if self.reading.is_none() && !self.later.is_empty() {
            self.asked.append(&mut self.later);
            self.reading = Some(spawn_blocking(read));
        }
    }

    /// Waits until calls can be answered: with what was read, or with `None` where that took
    /// too long. For ever while nobody waits. May be dropped and called again.
    pub async fn done(&mut self) -> (Vec<Call>, Option<Seen>) {
        let waiting = self.asked.iter().chain(&self.later);
        let patience = waiting.map(|waiting| waiting.until).min();
        let late = async {
            match patience {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let read = async {
            match &mut self.reading {
                Some(reading) => reading.await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            seen = read => {
                self.reading = None;
                let asked = std::mem::take(&mut self.asked);
                (asked.into_iter().map(|waiting| waiting.call).collect(), seen)
            }
            () = late => {
                let now = Instant::now();
                let is_over = |waiting: &mut Waiting| waiting.until <= now;
                let over = self.asked.extract_if(.., is_over);
                let over: Vec<_> = over.chain(self.later.extract_if(.., is_over)).collect();
                (over.into_iter().map(|waiting| waiting.call).collect(), None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;
    use crate::control::protocol::Request;

    fn call() -> Call {
        Call {
            request: Request::Status,
            connected: std::time::Instant::now(),
            answer: oneshot::channel().0,
        }
    }

    fn seen(name: &str) -> Seen {
        Seen::Config(vec![name.into()])
    }

    /// What is read is not older than the question.
    #[tokio::test]
    async fn who_asks_while_files_are_read_waits_for_the_next_time() {
        let mut glance = Glance::default();
        glance.ask(call());
        glance.ask(call());
        glance.next(|| seen("first"));
        glance.ask(call());
        glance.next(|| unreachable!("one at a time"));
        let (calls, read) = glance.done().await;
        assert!(calls.len() == 2 && read == Some(seen("first")));
        glance.next(|| seen("second"));
        let (calls, read) = glance.done().await;
        assert!(calls.len() == 1 && read == Some(seen("second")));
        glance.next(|| unreachable!("nobody asks"));
    }

    #[tokio::test]
    async fn files_that_do_not_answer_keep_nobody_and_are_asked_once() {
        let mut glance = Glance::default();
        let (answer, hangs) = mpsc::channel();
        glance.ask(call());
        glance.next(move || {
            let () = hangs.recv().unwrap();
            seen("at last")
        });
        let began = Instant::now();
        let (calls, read) = glance.done().await;
        assert!(calls.len() == 1 && read.is_none());
        assert!(began.elapsed() >= PATIENCE);
        glance.ask(call());
        glance.next(|| unreachable!("one at a time"));
        let (calls, read) = glance.done().await;
        assert!(calls.len() == 1 && read.is_none());
        answer.send(()).unwrap();
        let (calls, read) = glance.done().await;
        assert!(calls.is_empty() && read == Some(seen("at last")));
    }
}
