//! What the kernels of the peers say they sent, beside what the firewall says it judged.

use std::thread;
use std::time::{Duration, Instant};

use sandbox::{Error, Namespace, Result, Status};

/// How long the last segments of a connection may take.
const SETTLE: Duration = Duration::from_secs(5);
/// Silence of both ends that means that the last segment was sent: an acknowledgement is
/// delayed by up to 40 ms, and without a loss nothing is repeated.
const QUIET: Duration = Duration::from_millis(150);

/// Segments that a namespace has sent so far, repetitions among them, over IPv4 and IPv6
/// (RFC 4022: tcpOutSegs has none, tcpRetransSegs nothing else).
///
/// # Errors
/// If the kernel's table cannot be read.
pub fn segments_sent(namespace: &Namespace) -> Result<u64> {
    Ok(tcp(namespace, "OutSegs")? + tcp(namespace, "RetransSegs")?)
}

/// Segments that were delivered to the TCP of a namespace so far.
///
/// # Errors
/// If the kernel's table cannot be read.
pub fn segments_delivered(namespace: &Namespace) -> Result<u64> {
    tcp(namespace, "InSegs")
}

fn tcp(namespace: &Namespace, counter: &str) -> Result<u64> {
    // "self" would be the process, whose namespace is another one than the thread's.
    let path = "/proc/thread-self/net/snmp";
    let text = namespace
        .enter(|| std::fs::read_to_string(path))
        .map_err(Error::io(format!("read {path}")))?;
    column(&text, counter)
        .ok_or_else(|| Error::Unexpected(format!("{path} has no number of {counter}")))
}

/// The value below a name in the two lines that begin with `Tcp:`.
fn column(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|found| found == name)?;
    values.split(' ').nth(at)?.parse().ok()
}

/// What the firewall has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Packets that arrived and passed: allowed, or replies.
    pub passed_in: u64,
    /// Packets that arrived and were dropped.
    pub dropped_in: u64,
    /// Packets that left: allowed, or replies.
    pub passed_out: u64,
    /// Packets that were kept from leaving.
    pub dropped_out: u64,
}

impl Judged {
    /// As `fw-ctl status` tells it.
    #[must_use]
    pub fn told_by(status: &Status) -> Self {
        let mut judged = Self::default();
        for counter in &status.counters {
            let slot = match (counter.direction.as_str(), counter.name.as_str()) {
                ("ingress", "allowed" | "reply") => &mut judged.passed_in,
                ("egress", "allowed" | "reply") => &mut judged.passed_out,
                ("ingress", name) if name.starts_with("dropped/") => &mut judged.dropped_in,
                ("egress", name) if name.starts_with("dropped/") => &mut judged.dropped_out,
                _ => continue,
            };
            *slot += counter.packets;
        }
        judged
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            passed_in: self.passed_in - before.passed_in,
            dropped_in: self.dropped_in - before.dropped_in,
            passed_out: self.passed_out - before.passed_out,
            dropped_out: self.dropped_out - before.dropped_out,
        }
    }
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "in {} passed {} dropped, out {} passed {} dropped",
            self.passed_in, self.dropped_in, self.passed_out, self.dropped_out
        )
    }
}

/// Segments of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Segments that the node sent.
    pub by_node: u64,
    /// Segments that the peer sent.
    pub by_peer: u64,
}

/// Does `work`, which makes TCP connections between two machines, and waits until both
/// sides are silent.
///
/// # Errors
/// If the kernels' tables cannot be read.
pub fn exchange(node: &Namespace, peer: &Namespace, work: impl FnOnce()) -> Result<Exchange> {
    let sent = || -> Result<_> { Ok((segments_sent(node)?, segments_sent(peer)?)) };
    let before = sent()?;
    work();
    let mut last = sent()?;
    let (mut quiet, end) = (Instant::now() + QUIET, Instant::now() + SETTLE);
    while Instant::now() < quiet.min(end) {
        thread::sleep(QUIET / 10);
        let now = sent()?;
        if now != last {
            (last, quiet) = (now, Instant::now() + QUIET);
        }
    }
    Ok(Exchange {
        by_node: last.0 - before.0,
        by_peer: last.1 - before.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_name() {
        let text = "Ip: Forwarding\nIp: 2\nTcp: RtoMin InSegs OutSegs RetransSegs\n\
                    Tcp: 200 7 11 2\nUdp: InDatagrams\nUdp: 5\n";
        assert_eq!(column(text, "OutSegs"), Some(11));
        assert_eq!(column(text, "RetransSegs"), Some(2));
        assert_eq!(column(text, "Forwarding"), None);
        assert_eq!(column("Tcp: InSegs\n", "InSegs"), None);
    }
}
