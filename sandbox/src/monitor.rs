//! What the firewall reports: `fw-ctl monitor` read line by line.
//!
//! The lines have the format of `cilium monitor` (`pkg/monitor/datapath_policy.go)`:
//! `Policy verdict log: flow 0x0 local EP ID 1, remote ID world, proto 6, ingress,
//! action deny, auth: disabled, match none, 203.0.113.7:40000 -> 10.0.0.10:22 tcp SYN`

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, FwCtl, Result};

/// One policy-verdict line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The line as written.
    pub line: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `allow`, `deny` or `audit`.
    pub action: String,
    /// `none`, `L3-Only`, `L3-L4`, `L4-Only`, `all`.
    pub matched: String,
    /// Sender, and its port where the protocol has ports.
    pub source: (IpAddr, Option<u16>),
    /// Receiver, and its port where the protocol has ports.
    pub destination: (IpAddr, Option<u16>),
    /// `tcp SYN`, `udp`, `icmp EchoRequest`.
    pub summary: String,
}

impl Verdict {
    /// Reads a line; `None` if it is no policy verdict.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let fields = line.strip_prefix("Policy verdict log: ")?;
        let direction = ["ingress", "egress"]
            .into_iter()
            .find(|direction| fields.contains(&format!(", {direction}, ")))?;
        let after = |name: &str| -> Option<&str> {
            let (_, rest) = fields.split_once(&format!(", {name} "))?;
            Some(rest.split_once(", ")?.0)
        };
        let (_, connection) = fields.split_once(", match ")?;
        let (matched, connection) = connection.split_once(", ")?;
        let (source, rest) = connection.split_once(" -> ")?;
        let (destination, summary) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Self {
            line: line.to_owned(),
            direction: direction.to_owned(),
            action: after("action")?.to_owned(),
            matched: matched.to_owned(),
            source: endpoint(source)?,
            destination: endpoint(destination)?,
            summary: summary.to_owned(),
        })
    }
}

/// `10.0.0.1:22`, `[fd00::1]:22`, `10.0.0.1` or `fd00::1`.
fn endpoint(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((socket.ip(), Some(socket.port())));
    }
    Some((text.parse().ok()?, None))
}

/// A running `fw-ctl monitor`; dropping it ends it.
#[derive(Debug)]
pub struct Monitor {
    child: Child,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    verdicts: Vec<Verdict>,
    ready: bool,
}

impl Monitor {
    /// Starts `fw-ctl monitor` with these arguments and waits until it listens
    /// (it says so on stderr, as `cilium monitor` does).
    ///
    /// # Errors
    /// When it cannot be started or says nothing.
    pub fn start(fw_ctl: &FwCtl, arguments: &[&str]) -> Result<Self> {
        let mut command = fw_ctl.command(&[&["monitor"], arguments].concat());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io("start `fw-ctl monitor`"))?;
        let shared = Arc::new(Shared::default());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        if let Some(stdout) = stdout {
            let shared = shared.clone();
            thread::spawn(move || {
                for line in BufReader::new(stdout)
                    .lines()
                    .map_while(std::result::Result::ok)
                {
                    shared.hear(line);
                }
            });
        }
        if let Some(stderr) = stderr {
            let shared = shared.clone();
            thread::spawn(move || {
                for _ in BufReader::new(stderr)
                    .lines()
                    .map_while(std::result::Result::ok)
                {
                    shared.lock().ready = true;
                    shared.news.notify_all();
                }
            });
        }
        let monitor = Self { child, shared };
        match monitor.wait(Duration::from_secs(10), |heard| heard.ready.then_some(())) {
            Some(()) => Ok(monitor),
            None => Err(Error::Unexpected(
                "`fw-ctl monitor` does not say on stderr that it listens".into(),
            )),
        }
    }

    /// The first verdict so far, or within `patience`, that fits.
    #[must_use]
    pub fn verdict(&self, patience: Duration, fits: impl Fn(&Verdict) -> bool) -> Option<Verdict> {
        self.wait(patience, |heard| {
            heard.verdicts.iter().find(|verdict| fits(verdict)).cloned()
        })
    }

    /// The first line so far, or within `patience`, that fits.
    #[must_use]
    pub fn line(&self, patience: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        self.wait(patience, |heard| {
            heard.lines.iter().find(|line| fits(line)).cloned()
        })
    }

    /// Every verdict so far.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.shared.lock().verdicts.clone()
    }

    fn wait<T>(&self, patience: Duration, find: impl Fn(&Heard) -> Option<T>) -> Option<T> {
        let end = Instant::now() + patience;
        let mut heard = self.shared.lock();
        loop {
            if let Some(found) = find(&heard) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            heard = match self.shared.news.wait_timeout(heard, left) {
                Ok((heard, _)) => heard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, line: String) {
        let mut heard = self.lock();
        heard.verdicts.extend(Verdict::parse(&line));
        heard.lines.push(line);
        self.news.notify_all();
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Lines of `cilium monitor` itself.
    const TCP: &str = "Policy verdict log: flow 0x3b9a2c local EP ID 1687, remote ID remote-node, \
        proto 6, ingress, action allow, auth: disabled, match L3-Only, \
        192.168.60.12:37278 -> 192.168.60.11:2379 tcp SYN";
    const PING: &str = "Policy verdict log: flow 0x0 local EP ID 1687, remote ID world, proto 58, \
        egress, action audit, auth: disabled, match none, fd00::b -> fd00::c icmp EchoRequest";

    #[test]
    fn a_tcp_verdict() {
        let verdict = Verdict::parse(TCP).unwrap();
        assert_eq!(verdict.direction, "ingress");
        assert_eq!(verdict.action, "allow");
        assert_eq!(verdict.matched, "L3-Only");
        assert_eq!(verdict.source, ([192, 168, 60, 12].into(), Some(37278)));
        assert_eq!(verdict.destination, ([192, 168, 60, 11].into(), Some(2379)));
        assert_eq!(verdict.summary, "tcp SYN");
    }

    #[test]
    fn a_ping_has_no_ports() {
        let verdict = Verdict::parse(PING).unwrap();
        assert_eq!(verdict.action, "audit");
        assert_eq!(verdict.source, ("fd00::b".parse().unwrap(), None));
        assert_eq!(verdict.summary, "icmp EchoRequest");
    }

    #[test]
    fn ipv6_addresses_with_ports_stand_in_brackets() {
        assert_eq!(
            endpoint("[2001:db8::1]:53"),
            Some(("2001:db8::1".parse().unwrap(), Some(53)))
        );
        assert_eq!(endpoint("somewhere"), None);
    }

    #[test]
    fn other_lines_are_no_verdicts() {
        let drop = "xx drop (Policy denied) flow 0x0 to endpoint 0, ifindex 2, file bpf_host.c:1, \
            , identity world->host: 10.0.2.2:49038 -> 10.0.2.15:21 tcp SYN";
        assert_eq!(Verdict::parse(drop), None);
        assert_eq!(Verdict::parse(""), None);
    }
}
