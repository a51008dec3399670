//! From what the daemon answers to rates. Nothing here knows of clocks, sockets or terminals.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::number::per_second;
use super::tally::{Both, Tallies, Tally};
use super::view::{Dropped, FlowRate, Rate, ReasonRate, RuleRate, SCHEMA, View};
use crate::control::protocol::Failure;
use crate::daemon::status::{CounterStatus, RuleStatus, Rules};
use crate::engine::protocol_name;
use crate::exit;
use crate::moment::rfc3339;
use crate::observe::lines::{address, has_ports};
use crate::observe::{Flow, Record, Told, icmp_type_name};
use crate::policy::rules::{ICMP, ICMPV6};
use crate::printable::printable;

/// Sources, and as many ports, that have a row of their own.
pub const SOURCES: usize = 512;
/// Interfaces that have.
const INTERFACES: usize = 128;
/// Drops that are kept.
pub const DROPS: usize = 200;
/// Readings that are closer together are not compared: what the daemon needs to answer is no
/// small part of the time between them any more.
const CLOSE: Duration = Duration::from_millis(20);

/// What comes from the daemon.
#[derive(Debug)]
pub enum News {
    /// Counters.
    Reading(Box<Reading>),
    /// Instead of counters.
    Unanswered(Failure),
    /// From now on flows are told.
    Heard,
    /// One; of the past, if it `is_past`.
    Flow {
        /// The flow.
        flow: Flow,
        /// It happened before anybody listened, so it is part of no rate.
        is_past: bool,
    },
    /// So many were not, because they were read too slowly.
    Missed(u64),
    /// From now on none are.
    Deaf(Failure),
}

/// Counters at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When they came, since the program started.
    pub at: Duration,
    /// The same in seconds since 1970.
    pub time: u64,
    /// The answer.
    pub rules: Rules,
}

/// The last reading, to compare the next one with.
struct Base {
    at: Duration,
    generation: u64,
    /// By id: packets and bytes, and packets beyond the limit.
    rules: BTreeMap<usize, (Count, Option<u64>)>,
    reasons: BTreeMap<(String, String), Count>,
    unreported: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    packets: u64,
    bytes: u64,
}

impl Count {
    /// `None` where it is not known what was before, or counters have begun anew.
    fn rate(self, before: Option<Self>, span: Duration) -> Rate {
        let of = |now: u64, before: Option<u64>| gain(now, before, span);
        let packets = of(self.packets, before.map(|count| count.packets));
        let bytes = of(self.bytes, before.map(|count| count.bytes));
        match (packets, bytes) {
            (Some(_), Some(_)) => Rate {
                packets_per_second: packets,
                bytes_per_second: bytes,
            },
            _ => Rate::default(),
        }
    }
}

/// What a counter has gained, a second.
fn gain(now: u64, before: Option<u64>, span: Duration) -> Option<f64> {
    let gained = now.checked_sub(before?)?;
    Some(per_second(gained, span))
}

/// Everything that is known.
pub struct State {
    base: Option<Base>,
    sources: Tallies<(IpAddr, String)>,
    ports: Tallies<String>,
    interfaces: Tallies<String>,
    drops: VecDeque<Arc<Record>>,
    /// Flows were told during the whole interval.
    heard: bool,
    /// They are told now.
    listening: bool,
    missed: u64,
    view: View,
}

impl Default for State {
    fn default() -> Self {
        Self {
            base: None,
            sources: Tallies::new(SOURCES),
            ports: Tallies::new(SOURCES),
            interfaces: Tallies::new(INTERFACES),
            drops: VecDeque::new(),
            heard: false,
            listening: false,
            missed: 0,
            view: View {
                schema: SCHEMA,
                ..View::default()
            },
        }
    }
}

impl State {
    /// What there is to see since the last reading.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Takes notice; whether there is something else to see now.
    pub fn take(&mut self, news: News) -> bool {
        match news {
            News::Reading(reading) => self.read(&reading),
            News::Unanswered(failure) => self.unanswered(&failure),
            News::Heard => {
                self.listening = true;
                self.view.deaf = None;
            }
            News::Flow { flow, is_past } => {
                self.hear(&flow, is_past);
                return false;
            }
            News::Missed(count) => {
                self.missed += count;
                return false;
            }
            News::Deaf(failure) => {
                // A daemon that hangs up may be another one at the next reading.
                if std::mem::take(&mut self.listening) {
                    self.base = None;
                }
                self.heard = false;
                self.view.deaf = Some(format!(
                    "no flows are told, trying again: {}",
                    failure.line()
                ));
            }
        }
        true
    }

    /// Old rates are no news, and what comes next may be counted by another daemon.
    fn unanswered(&mut self, failure: &Failure) {
        self.base = None;
        self.heard = false;
        self.view.seconds = None;
        for rule in &mut self.view.rules {
            rule.rate = Rate::default();
            rule.limited_per_second = None;
        }
        for reason in &mut self.view.reasons {
            reason.rate = Rate::default();
        }
        self.view.unreported_per_second = None;
        self.view_flows(None);
        self.view.trouble = Some(match failure.exit {
            exit::UNREACHABLE => format!("daemon gone, trying again: {}", failure.line()),
            // It is there, and has nothing to count by.
            _ => format!("no counters, trying again: {}", failure.line()),
        });
    }

    fn read(&mut self, reading: &Reading) {
        let Reading { at, time, rules } = reading;
        let span = self.base.as_ref().map(|base| at.saturating_sub(base.at));
        if span.is_some_and(|span| span < CLOSE) {
            return;
        }
        let base = self.base.take();
        let compared = base.as_ref().zip(span);
        // Rules of another plan may have the same names, and count from 0.
        let of_plan = compared.filter(|(base, _)| base.generation == rules.generation);
        let view = &mut self.view;
        view.time = rfc3339(*time);
        view.node = printable(&rules.node);
        view.mode = printable(&rules.mode);
        view.generation = rules.generation;
        view.seconds = span.map(|span| span.as_secs_f64());
        view.trouble = None;
        view.missed = self.missed;
        view.rules = rules.rules.iter().map(|rule| rate(rule, of_plan)).collect();
        view.reasons = rules
            .counters
            .iter()
            .map(|counter| reason(counter, compared))
            .collect();
        view.unreported_per_second =
            compared.and_then(|(base, span)| gain(rules.lost_events, Some(base.unreported), span));
        self.view_flows(span.filter(|_| self.heard));
        self.sources.close();
        self.ports.close();
        self.interfaces.close();
        self.heard = self.listening;
        self.base = Some(Base::of(*at, rules));
    }

    /// Puts flows into the view, with rates over `span` if they were told all the time.
    fn view_flows(&mut self, span: Option<Duration>) {
        let row = |name: String, identity: String, others, both: Both| FlowRate {
            name,
            identity,
            others,
            new: both.ever.new,
            denied: both.ever.denied,
            new_per_second: span.map(|span| per_second(both.lately.new, span)),
            denied_per_second: span.map(|span| per_second(both.lately.denied, span)),
        };
        let sources = self.sources.rows().map(|(key, both)| match key {
            Some((address, identity)) => row(address.to_string(), identity.clone(), false, both),
            None => row(String::new(), String::new(), true, both),
        });
        let named = |(key, both): (Option<&String>, Both)| {
            row(
                key.cloned().unwrap_or_default(),
                String::new(),
                key.is_none(),
                both,
            )
        };
        self.view.sources = sources.collect();
        self.view.ports = self.ports.rows().map(named).collect();
        self.view.interfaces = self.interfaces.rows().map(named).collect();
        self.view.drops = self.drops.iter().map(|record| dropped(record)).collect();
    }

    fn hear(&mut self, flow: &Flow, is_past: bool) {
        let record = &flow.record;
        // A denied packet makes two flows.
        if record.messages().first() != Some(&flow.message) {
            return;
        }
        if record.told != Told::Allow {
            self.drops.push_front(Arc::clone(record));
            self.drops.truncate(DROPS);
        }
        if is_past {
            return;
        }
        let report = match record.told {
            Told::Allow => Tally { new: 1, denied: 0 },
            Told::Deny | Told::Audit => Tally { new: 0, denied: 1 },
        };
        let identity = printable(&record.source.identity.name());
        self.sources
            .count((record.source.address, identity), report);
        self.ports.count(port(record), report);
        self.interfaces.count(interface(record), report);
    }
}

impl Base {
    fn of(at: Duration, rules: &Rules) -> Self {
        let counts = rules.rules.iter().map(|rule| {
            let count = Count {
                packets: rule.packets,
                bytes: rule.bytes,
            };
            (rule.id, (count, rule.limited))
        });
        let reasons = rules.counters.iter().map(|counter| {
            let count = Count {
                packets: counter.packets,
                bytes: counter.bytes,
            };
            ((counter.direction.clone(), counter.name.clone()), count)
        });
        Self {
            at,
            generation: rules.generation,
            rules: counts.collect(),
            reasons: reasons.collect(),
            unreported: rules.lost_events,
        }
    }
}

fn rate(rule: &RuleStatus, before: Option<(&Base, Duration)>) -> RuleRate {
    let found = before.and_then(|(base, span)| Some((base.rules.get(&rule.id)?, span)));
    let count = Count {
        packets: rule.packets,
        bytes: rule.bytes,
    };
    let rate = found.map(|((before, _), span)| count.rate(Some(*before), span));
    RuleRate {
        direction: printable(&rule.direction),
        verdict: printable(&rule.verdict),
        policy: printable(&rule.policy),
        rule: printable(&rule.rule),
        origin: printable(&rule.origin),
        packets: rule.packets,
        bytes: rule.bytes,
        rate: rate.unwrap_or_default(),
        limited_per_second: found
            .and_then(|((_, before), span)| gain(rule.limited?, *before, span)),
    }
}

/// A counter that is told for the first time was 0 before.
fn reason(counter: &CounterStatus, before: Option<(&Base, Duration)>) -> ReasonRate {
    let key = (counter.direction.clone(), counter.name.clone());
    let count = Count {
        packets: counter.packets,
        bytes: counter.bytes,
    };
    let rate = before.map(|(base, span)| {
        let before = base.reasons.get(&key).copied().unwrap_or_default();
        count.rate(Some(before), span)
    });
    ReasonRate {
        direction: printable(&counter.direction),
        reason: printable(&counter.name),
        packets: counter.packets,
        bytes: counter.bytes,
        rate: rate.unwrap_or_default(),
    }
}

/// `tcp/22`, `icmp/EchoRequest`, `vrrp`.
fn port(record: &Record) -> String {
    if record.family == 0 {
        return "unreadable".to_owned();
    }
    let protocol = record.protocol;
    let name = protocol_name(protocol).unwrap_or_else(|| protocol.to_string());
    match protocol {
        ICMP | ICMPV6 => {
            let kind = icmp_type_name(record.family == 6, record.icmp_type);
            format!("{name}/{kind}")
        }
        _ if has_ports(protocol) => format!("{name}/{}", record.destination.port),
        _ => name,
    }
}

fn interface(record: &Record) -> String {
    match &*record.interface {
        "" => format!("index {}", record.ifindex),
        name => printable(name),
    }
}

fn dropped(record: &Record) -> Dropped {
    let (policy, rule) = match &record.rule {
        Some(rule) if record.by_policy() => (printable(&rule.policy), printable(&rule.rule)),
        _ => (String::new(), String::new()),
    };
    Dropped {
        nanoseconds: record.time,
        audited: record.told == Told::Audit,
        direction: if record.ingress { "ingress" } else { "egress" }.into(),
        interface: interface(record),
        port: port(record),
        source: address(&record.source, record),
        destination: address(&record.destination, record),
        reason: record
            .drop_reason()
            .map_or("unknown", fw_common::wire::DropReason::name)
            .into(),
        policy,
        rule,
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
