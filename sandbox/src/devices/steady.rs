//! Traffic that goes on while devices change: a connection that policy allows in each
//! direction, and attempts that it refuses, one after the other.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sandbox::probe::{self, Connection};
use sandbox::{Family, Lab, Namespace, Protocol, Service, tcp, udp};

use super::flows::{API, SSH, VXLAN, WEB};
use super::report::Report;
use super::stage::Stage;

/// How long a connection may hang before it counts as lost: TCP repeats what was lost in
/// a failover after up to some seconds.
const LOST: Duration = Duration::from_secs(20);
/// How long a refused attempt waits.
const ATTEMPT: Duration = Duration::from_millis(200);
/// Between two words of a connection.
const PAUSE: Duration = Duration::from_millis(10);

/// All of it; it ends with [`Self::end`], or when it is dropped.
#[derive(Debug)]
pub struct Steady {
    stop: Arc<AtomicBool>,
    talks: Vec<(&'static str, Arc<Talk>)>,
    attempts: Arc<AtomicU64>,
    successes: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    /// What the node's servers had seen of refused services before.
    seen_before: u64,
}

/// One connection that goes on.
#[derive(Debug, Default)]
struct Talk {
    words: AtomicU64,
    error: Mutex<Option<String>>,
}

/// What nobody but an administrator or a node may reach.
const REFUSED: [Service; 2] = [tcp(SSH), udp(VXLAN)];

impl Steady {
    /// Opens the connections; returns when they are open and the attempts go on.
    ///
    /// # Errors
    /// If a connection that policy allows cannot be opened.
    pub fn start(stage: &Stage) -> sandbox::Result<Self> {
        let lab = &stage.lab;
        let mut steady = Self {
            stop: Arc::default(),
            talks: Vec::new(),
            attempts: Arc::default(),
            successes: Arc::default(),
            threads: Vec::new(),
            seen_before: seen(stage),
        };
        let talks = [
            (
                "node2 -> node",
                &lab.node2.namespace,
                lab.node.socket(Family::V4, API),
            ),
            (
                "node -> stranger",
                &lab.node.namespace,
                lab.stranger.socket(Family::V6, WEB),
            ),
        ];
        for (who, from, to) in talks {
            steady.talk(who, from, to)?;
        }
        for family in Family::BOTH {
            steady.attempt(lab, family, tcp(SSH));
            steady.attempt(lab, family, udp(VXLAN));
        }
        Ok(steady)
    }

    /// Waits until every connection has got some words through that were not sent before
    /// now, or one is lost.
    pub fn await_progress(&self) {
        let words = |talk: &Talk| talk.words.load(Ordering::Relaxed);
        let before: Vec<_> = self.talks.iter().map(|(_, talk)| words(talk)).collect();
        let end = Instant::now() + LOST;
        let all = || {
            self.talks.iter().zip(&before).all(|((_, talk), before)| {
                // The first one may have been on its way.
                words(talk) >= before + 3 || talk.error().is_some()
            })
        };
        while !all() && Instant::now() < end {
            thread::sleep(PAUSE);
        }
    }

    /// Ends it and says what became of it.
    pub fn end(mut self, stage: &Stage, report: &mut Report, when: &str) {
        self.halt();
        for (who, talk) in &self.talks {
            let got = talk.error().unwrap_or_else(|| "goes on".to_owned());
            report.check(format!("{when}, allowed, {who}"), "goes on", got);
        }
        let attempts = self.attempts.load(Ordering::Relaxed);
        report.at_least(format!("{when}, refused attempts"), 4, attempts);
        let successes = self.successes.load(Ordering::Relaxed);
        report.check(format!("{when}, of these answered"), 0, successes);
        let delivered = seen(stage) - self.seen_before;
        report.check(format!("{when}, of these delivered"), 0, delivered);
    }

    fn talk(&mut self, who: &'static str, from: &Namespace, to: SocketAddr) -> sandbox::Result<()> {
        let mut connection = Connection::open_within(LOST, from, None, to).map_err(
            sandbox::Error::io(format!("connect {who}, which policy allows")),
        )?;
        let talk = Arc::new(Talk::default());
        self.talks.push((who, talk.clone()));
        let stop = self.stop.clone();
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if let Err(error) = connection.talk("still here") {
                    talk.set_error(&error);
                    return;
                }
                talk.words.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        }));
        Ok(())
    }

    fn attempt(&mut self, lab: &Lab, family: Family, service: Service) {
        let (from, to) = (
            lab.stranger.namespace.clone(),
            lab.node.socket(family, service.port),
        );
        let (stop, attempts, successes) = (
            self.stop.clone(),
            self.attempts.clone(),
            self.successes.clone(),
        );
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let answered = match service.protocol {
                    Protocol::Tcp => probe::connect(ATTEMPT, &from, None, to).is_ok(),
                    Protocol::Udp => probe::udp_within(ATTEMPT, &from, None, to).answered(),
                };
                attempts.fetch_add(1, Ordering::Relaxed);
                successes.fetch_add(u64::from(answered), Ordering::Relaxed);
            }
        }));
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.halt();
    }
}

impl Talk {
    fn error(&self) -> Option<String> {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone()
    }

    fn set_error(&self, error: &io::Error) {
        let words = self.words.load(Ordering::Relaxed);
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(format!("lost after {words} words: {error}"));
    }
}

fn seen(stage: &Stage) -> u64 {
    let node = stage.servers_of(stage.lab.node.name);
    REFUSED.iter().map(|service| node.seen(*service)).sum()
}
