//! Makes the connections of all rows in one mode, and compares.

use std::thread;
use std::time::{Duration, Instant};

use sandbox::probe::{self, Outcome};
use sandbox::{Lab, Monitor, Protocol, Verdict, ping};

use super::policy::Answer;
use super::row::{Kind, Row, What};

/// Rows at a time: a firewall reports a limited number of verdicts a moment, and
/// every row's is wanted here.
const AT_ONCE: usize = 8;
/// How long to wait for the firewall's reports after the last connection.
const REPORTS: Duration = Duration::from_secs(3);

/// One run over all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is dropped; what would be is reported.
    Audit,
    /// What is denied is dropped.
    Enforce,
}

impl Phase {
    /// In the order in which they are run.
    pub const ALL: [Self; 2] = [Self::Audit, Self::Enforce];

    /// As in the configuration.
    #[must_use]
    pub fn mode(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }

    /// From 0, in that order.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }

    /// What the firewall must report of a packet that policy allows or denies.
    fn action(self, allowed: bool) -> &'static str {
        match (allowed, self) {
            (true, _) => "allow",
            (false, Self::Audit) => "audit",
            (false, Self::Enforce) => "deny",
        }
    }
}

/// One row after a phase.
#[derive(Debug)]
pub struct RowResult {
    /// The row.
    pub row: Row,
    /// What the policy says.
    pub answer: Answer,
    /// What happened.
    pub outcome: Outcome,
    /// What the firewall reported of it.
    pub report: Option<Verdict>,
    /// What it reported of an answer, which it should not judge.
    pub report_of_answer: Option<Verdict>,
}

impl RowResult {
    /// What does not fit; empty if all three agree.
    #[must_use]
    pub fn disagreements(&self, phase: Phase) -> Vec<String> {
        let mut wrong = Vec::new();
        // An answer belongs to a connection that is allowed.
        let allowed = self.answer.allows() || self.row.kind == Kind::Answer;
        if self.row.kind == Kind::Answer && self.answer.allows() {
            wrong.push("policy allows the answer by itself, so the row shows nothing".to_owned());
        }
        let passes = allowed || phase == Phase::Audit;
        match (passes, &self.outcome) {
            (true, Outcome::Answered) | (false, Outcome::Silence) => {}
            (true, other) => wrong.push(format!("it should be answered, but: {other}")),
            (false, other) => wrong.push(format!("it should be dropped, but: {other}")),
        }
        let action = phase.action(allowed);
        match &self.report {
            Some(report) if report.action == action => {}
            Some(report) => wrong.push(format!("reported {}, not {action}", report.action)),
            None => wrong.push(format!("the firewall reported no `action {action}`")),
        }
        if let Some(report) = &self.report_of_answer {
            wrong.push(format!("the answer was judged, too: {}", report.line));
        }
        wrong
    }

    /// The row and what is wrong with it, if anything is.
    #[must_use]
    pub fn complaint(&self, phase: Phase) -> Option<String> {
        let wrong = self.disagreements(phase);
        (!wrong.is_empty()).then(|| {
            let (mode, who, what) = (phase.mode(), self.row.who(), self.row.service());
            format!("{mode}: {who} {what}: {}", wrong.join("; "))
        })
    }
}

/// Makes all connections and collects what the firewall reports of them.
#[must_use]
pub fn run(
    phase: Phase,
    lab: &Lab,
    rows: &[Row],
    answers: &[Answer],
    monitor: &Monitor,
) -> Vec<RowResult> {
    let mut outcomes = Vec::new();
    let together = rows.chunk_by(|one, next| !one.needs_the_port() && !next.needs_the_port());
    for group in together.flat_map(|group| group.chunks(AT_ONCE)) {
        thread::scope(|scope| {
            let running: Vec<_> = group
                .iter()
                .map(|row| scope.spawn(move || connect(row, phase)))
                .collect();
            outcomes.extend(running.into_iter().map(|probe| {
                probe
                    .join()
                    .unwrap_or_else(|_| Outcome::Failed("the probe panicked".to_owned()))
            }));
        });
    }
    let end = Instant::now() + REPORTS;
    let node = [lab.node.v4.0.into(), lab.node.v6.0.into()];
    rows.iter()
        .zip(answers)
        .zip(outcomes)
        .map(|((row, answer), outcome)| {
            let left = end.saturating_duration_since(Instant::now());
            let (source, destination) =
                (row.source(phase.number()), row.destination(phase.number()));
            let ingress = node.contains(&destination.ip());
            RowResult {
                report: monitor.verdict(left, |verdict| {
                    is_about(verdict, row, source, destination)
                        && (verdict.direction == "ingress") == ingress
                }),
                report_of_answer: match row.kind {
                    Kind::New => None,
                    Kind::Answer => monitor.verdict(Duration::ZERO, |verdict| {
                        is_about(verdict, row, destination, source)
                    }),
                },
                row: row.clone(),
                answer: answer.clone(),
                outcome,
            }
        })
        .collect()
}

fn connect(row: &Row, phase: Phase) -> Outcome {
    let from = &row.from.namespace;
    let number = phase.number();
    let (port, to) = (row.source_port(number), row.destination(number));
    match row.what {
        What::Port(Protocol::Tcp, _) => probe::tcp(from, Some(port), to),
        What::Port(Protocol::Udp, _) => probe::udp(from, Some(port), to),
        What::Ping => ping::ping(from, to.ip(), port, 56),
    }
}

fn is_about(
    verdict: &Verdict,
    row: &Row,
    source: std::net::SocketAddr,
    destination: std::net::SocketAddr,
) -> bool {
    let ends = |ip, port| match row.what {
        What::Port(..) => (ip, Some(port)),
        What::Ping => (ip, None),
    };
    let summary = match row.what {
        What::Port(Protocol::Tcp, _) => "tcp",
        What::Port(Protocol::Udp, _) => "udp",
        What::Ping => "icmp EchoRequest",
    };
    verdict.source == ends(source.ip(), source.port())
        && verdict.destination == ends(destination.ip(), destination.port())
        && verdict.summary.starts_with(summary)
}

#[cfg(test)]
mod tests;
