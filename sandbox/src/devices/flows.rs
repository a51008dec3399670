//! Connections in both directions, and whether they are as the policy says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sandbox::probe::{self, Connection, Outcome};
use sandbox::{Family, Lab, Namespace, Protocol, Result, ping};

use super::counters::{self, Judged};
use super::report::Report;
use super::stage::Stage;
use crate::run::row::{Kind, Row, What};

/// Connections at a time; more would only wait for the emulated CPUs.
const AT_ONCE: usize = 20;
/// How long something that policy allows may take, in an emulated machine.
pub const LONG: Duration = Duration::from_secs(10);
/// How long to listen for an answer that should not come.
pub const SHORT: Duration = Duration::from_millis(600);

/// A port that only somebody with the network of the administrators may use.
pub const SSH: u16 = 22;
/// A port that the cluster and the administrators may use.
pub const API: u16 = 6443;
/// A port that everybody may use.
pub const WEB: u16 = 443;
/// The pod network, which other nodes may use, over UDP.
pub const VXLAN: u16 = 8472;
/// A port that nobody may use.
pub const CLOSED: u16 = 9999;

/// What is tried over every device: both directions, three protocols, both families.
#[must_use]
pub fn rows(lab: &Lab) -> Vec<Row> {
    use Protocol::{Tcp, Udp};
    let (node, jump, node2, stranger) = (&lab.node, &lab.jump, &lab.node2, &lab.stranger);
    let tried = [
        (jump, node, What::Port(Tcp, SSH)),
        (jump, node, What::Port(Tcp, 2379)),
        (node2, node, What::Port(Tcp, API)),
        (node2, node, What::Port(Tcp, SSH)),
        (node2, node, What::Port(Udp, VXLAN)),
        (node2, node, What::Ping),
        (stranger, node, What::Port(Tcp, SSH)),
        (stranger, node, What::Port(Tcp, WEB)),
        (stranger, node, What::Port(Udp, VXLAN)),
        (stranger, node, What::Ping),
        (node, node2, What::Port(Tcp, SSH)),
        (node, stranger, What::Port(Tcp, WEB)),
        (node, stranger, What::Port(Tcp, CLOSED)),
        (node, stranger, What::Port(Udp, 53)),
        (node, stranger, What::Port(Udp, CLOSED)),
        (node, stranger, What::Ping),
    ];
    let each = tried
        .iter()
        .flat_map(|row| Family::BOTH.map(|family| (row, family)));
    (0..)
        .zip(each)
        .map(|(id, ((from, to, what), family))| Row {
            id,
            from: (*from).clone(),
            to: (*to).clone(),
            family,
            what: *what,
            kind: Kind::New,
            fixed_source: None,
        })
        .collect()
}

/// Makes all connections of [`rows`] and compares each with what the policy says.
///
/// # Errors
/// If the servers' host cannot be entered.
pub fn verdicts(stage: &Stage, report: &mut Report, when: &str) {
    let both: Vec<_> = stage.rows.iter().zip(&stage.answers).collect();
    let (allowed, denied): (Vec<_>, Vec<_>) =
        both.into_iter().partition(|(_, answer)| answer.allows());
    let chunks = allowed.chunks(AT_ONCE).chain([&denied[..]]);
    for chunk in chunks {
        let outcomes: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = chunk
                .iter()
                .map(|(row, answer)| scope.spawn(|| connect(row, answer.allows())))
                .collect();
            running
                .into_iter()
                .map(|probe| {
                    probe
                        .join()
                        .unwrap_or_else(|_| Outcome::Failed("the probe panicked".to_owned()))
                })
                .collect()
        });
        for ((row, answer), outcome) in chunk.iter().zip(outcomes) {
            let expected = match answer.allows() {
                true => Outcome::Answered,
                false => Outcome::Silence,
            };
            let tried = format!("{when}{}, {}", row.who(), row.service());
            report.check(tried, expected, outcome);
        }
    }
}

fn connect(row: &Row, allowed: bool) -> Outcome {
    let (from, to) = (&row.from.namespace, row.destination(0));
    match row.what {
        What::Port(Protocol::Tcp, _) => {
            let patience = if allowed { LONG } else { SHORT };
            Connection::open_within(patience, from, None, to)
                .and_then(|mut connection| connection.talk("hello"))
                .into()
        }
        What::Port(Protocol::Udp, _) => insist(allowed, || probe::udp(from, None, to)),
        What::Ping => insist(allowed, || ping::ping(from, to.ip(), ping_id(), 56)),
    }
}

/// Asks until there is an answer, if one is due: datagrams may get lost.
pub fn insist(due: bool, mut ask: impl FnMut() -> Outcome) -> Outcome {
    let end = Instant::now() + LONG;
    loop {
        let outcome = ask();
        if !due || outcome.answered() || Instant::now() > end {
            return outcome;
        }
    }
}

/// An identifier that no other ping of this process has.
#[must_use]
pub fn ping_id() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Waits until the node answers another node's ping over both families: bonds negotiate,
/// bridges learn, and neighbours are looked up.
///
/// # Errors
/// If it does not, within half a minute.
pub fn await_path(lab: &Lab) -> Result<()> {
    let end = Instant::now() + 3 * LONG;
    for family in Family::BOTH {
        let to = lab.node.address(family);
        while !ping::ping(&lab.node2.namespace, to, ping_id(), 8).answered() {
            if Instant::now() > end {
                return Err(sandbox::Error::Unexpected(format!(
                    "{} cannot ping {to}, which policy allows",
                    lab.node2.name
                )));
            }
        }
    }
    Ok(())
}

/// Large packets and many of them: a transfer each way at once, and the largest ping.
pub fn load(stage: &Stage, report: &mut Report, mtu: u16) {
    const BYTES: usize = 512 * 1024;
    let lab = &stage.lab;
    for family in Family::BOTH {
        let to = lab.node.socket(family, API);
        let outcome = Connection::open_within(LONG, &lab.node2.namespace, None, to)
            .and_then(|mut connection| connection.bulk(BYTES));
        let tried = format!("node2 -> node, {API}/tcp {family}, {BYTES} bytes there and back");
        report.check(tried, Outcome::Answered, Outcome::from(outcome));
        // Headers of IPv6 and of ICMPv6.
        let size = usize::from(mtu) - 48;
        let outcome = insist(true, || {
            ping::ping(&lab.node2.namespace, to.ip(), ping_id(), size)
        });
        let tried = format!("node2 -> node, ping {family} of {size} bytes");
        report.check(tried, Outcome::Answered, outcome);
    }
}

/// Every segment is judged once: as often as the kernels say they sent one.
///
/// # Errors
/// If counters cannot be read.
pub fn judged_once(stage: &Stage, report: &mut Report) -> Result<()> {
    let lab = &stage.lab;
    let (node, stranger) = (&lab.node.namespace, &lab.stranger.namespace);
    let before = (stage.judged()?, stage.denied_by_rules()?);
    let refused = counters::exchange(node, stranger, || {
        together(
            Family::BOTH.map(|family| (stranger, lab.node.socket(family, SSH))),
            SHORT,
        );
    })?;
    let passed = counters::exchange(node, stranger, || {
        let [v4, v6] = Family::BOTH;
        let connections = [
            (stranger, lab.node.socket(v4, WEB)),
            (stranger, lab.node.socket(v6, WEB)),
            (node, lab.stranger.socket(v4, WEB)),
            (node, lab.stranger.socket(v6, WEB)),
        ];
        together(connections, LONG);
    })?;
    let expected = Judged {
        passed_in: passed.by_peer,
        dropped_in: refused.by_peer,
        passed_out: passed.by_node,
        dropped_out: 0,
    };
    report.at_least("refused segments", 2, expected.dropped_in);
    report.at_least("allowed segments", 16, expected.passed_in);
    let judged = stage.judged()?.since(before.0);
    report.check("segments judged", expected, judged);
    let by_rules = stage.denied_by_rules()? - before.1;
    report.check("refused segments, by rules", expected.dropped_in, by_rules);
    Ok(())
}

/// Makes connections at the same time.
fn together<const N: usize>(connections: [(&Namespace, SocketAddr); N], patience: Duration) {
    thread::scope(|scope| {
        for (from, to) in connections {
            scope.spawn(move || ask(from, to, patience));
        }
    });
}

fn ask(from: &Namespace, to: SocketAddr, patience: Duration) {
    // Whether it is answered is checked elsewhere; what counts here are the segments.
    let _ = Connection::open_within(patience, from, None, to)
        .and_then(|mut connection| connection.talk("counted"));
}
