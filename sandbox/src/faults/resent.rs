//! What TCP has sent again, and whether it had to: what the other side had already got was
//! late and not lost, for want of a processor. Only the rest can be the firewall's.

use std::fs;

use sandbox::Namespace;

/// Segments, by the counters of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resent {
    /// Sent again: `RetransSegs` (RFC 4022).
    pub all: u64,
    /// Of these, got twice: reported to the sender as duplicates (RFC 2883).
    pub needless: u64,
}

impl Resent {
    /// Of several namespaces together.
    pub fn of<'a>(namespaces: impl Iterator<Item = &'a Namespace>) -> Self {
        let mut sum = Self::default();
        for namespace in namespaces {
            let read = |file| {
                namespace.enter(move || {
                    fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default()
                })
            };
            sum.all += counter(&read("snmp"), "Tcp:", "RetransSegs");
            let extended = read("netstat");
            for name in ["TCPDSACKOldSent", "TCPDSACKOfoSent"] {
                sum.needless += counter(&extended, "TcpExt:", name);
            }
        }
        sum
    }

    /// What has been added to `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            needless: self.needless.saturating_sub(before.needless),
        }
    }
}

/// A line of names, and below it one of values, both with the prefix.
fn counter(text: &str, prefix: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter(|line| line.starts_with(prefix));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let mut pairs = names.split(' ').zip(values.split(' '));
    let value = pairs.find(|(known, _)| *known == name);
    value.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_below_its_name() {
        let text = "Ip: A\nIp: 1\nTcp: A RetransSegs B\nTcp: 2 3 4\n";
        assert_eq!(counter(text, "Tcp:", "RetransSegs"), 3);
        assert_eq!(counter(text, "Ip:", "RetransSegs"), 0);
    }
}
