//! What would be cut, in words for the operator and as data. Bounded: a busy node has ten
//! thousand connections.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use fw_common::wire::{Direction, DropReason, RULE_BAN, VerdictWord};
use serde::{Deserialize, Serialize};

use super::Audited;
use crate::compile::plan::Plan;
use crate::control::protocol::Failure;
use crate::engine::{Judgement, Reason, protocol_name};
use crate::exit;
use crate::policy::rules::{ICMP, ICMPV6, PORT_PROTOCOLS};

/// Version of the JSON of this file.
pub const SCHEMA: u32 = 1;
/// Lines that are told; more are counted.
pub const MOST_LINES: usize = 20;
/// Peers that are kept of a group, and of these, those that its line names.
const MOST_PEERS: usize = 10;
const NAMED_PEERS: usize = 2;

/// What is cut, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The SSH session of the one who asks.
    OwnSsh,
    /// Another session with the node's sshd.
    Ssh,
    /// A connection that is open.
    Open,
    /// What passed lately, and may come again.
    Seen,
}

/// Which way a connection began.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The peer began it.
    Ingress,
    /// The node did.
    Egress,
}

impl From<Direction> for Way {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
        }
    }
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Ingress => Self::Ingress,
            Way::Egress => Self::Egress,
        }
    }
}

/// What decides against it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Because {
    /// `default-deny`, `deny-rule`, …: as `policy test` names reasons; and `banned-peer`,
    /// `rate-limited`, and reasons for which packets are dropped unread.
    pub reason: String,
    /// Name of the policy; empty where none decides.
    pub policy: String,
    /// `ingressDeny[0]`, `default-deny`, `banned-peer`, …
    pub rule: String,
    /// `path:line`; empty where nothing was written.
    pub origin: String,
}

impl Because {
    /// What a word of `plan` says.
    pub(super) fn of(plan: &Plan, direction: Direction, word: VerdictWord) -> Self {
        let judgement = Judgement::from_word(plan, direction, word);
        if word.rule() == RULE_BAN {
            return Self {
                reason: judgement.rule.clone(),
                policy: String::new(),
                rule: judgement.rule,
                origin: String::new(),
            };
        }
        Self {
            reason: judgement.reason.name().to_owned(),
            policy: judgement.policy,
            rule: judgement.rule,
            origin: judgement.origin,
        }
    }

    /// That a built-in lets it pass.
    pub(super) fn builtin(name: &str) -> Self {
        Self {
            reason: Reason::Builtin.name().to_owned(),
            policy: String::new(),
            rule: name.to_owned(),
            origin: String::new(),
        }
    }

    /// That the packet is not as it should be.
    pub(super) fn packet(reason: DropReason) -> Self {
        Self {
            reason: reason.name().into(),
            policy: String::new(),
            rule: reason.name().into(),
            origin: String::new(),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rule of a default deny is what switched it on, and denies nothing by itself.
        if self.reason == DropReason::DefaultDeny.name() {
            f.write_str(&self.reason)?;
        } else if self.reason == DropReason::RateLimited.name() {
            write!(f, "over the limit of {}", self.rule)?;
        } else {
            f.write_str(&self.rule)?;
        }
        if !self.policy.is_empty() {
            write!(f, " of policy {}", self.policy)?;
        }
        if !self.origin.is_empty() {
            write!(f, " ({})", self.origin)?;
        }
        Ok(())
    }
}

/// Some of many peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Few {
    /// The first, in the order of addresses.
    pub named: Vec<IpAddr>,
    /// How many more there are.
    pub more: usize,
}

impl Few {
    pub(super) fn of(all: BTreeSet<IpAddr>) -> Self {
        let more = all.len().saturating_sub(MOST_PEERS);
        Self {
            named: all.into_iter().take(MOST_PEERS).collect(),
            more,
        }
    }
}

impl fmt::Display for Few {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.named.len() + self.more;
        // One more costs no more room than to say that there is one.
        let shown = if total == NAMED_PEERS + 1 {
            total
        } else {
            NAMED_PEERS
        };
        let names: Vec<_> = self
            .named
            .iter()
            .take(shown)
            .map(IpAddr::to_string)
            .collect();
        f.write_str(&names.join(", "))?;
        match total.saturating_sub(names.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// One line: connections to one service that one rule would cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// What they are.
    pub kind: Kind,
    /// How many; of [`Kind::Seen`] how often they were reported.
    pub count: u64,
    /// Which way they began.
    pub direction: Way,
    /// IP protocol number.
    pub protocol: u8,
    /// Port of the server, or type of ICMP; 0 of other protocols.
    pub service: u16,
    /// The client of the first of them; port 0: any.
    pub source: SocketAddr,
    /// The server of the first of them.
    pub destination: SocketAddr,
    /// The ends that are not the node's.
    pub peers: Few,
    /// Seconds since the last was seen; `None`: they are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_ago: Option<u64>,
    /// What would drop them.
    pub because: Because,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, many) = match self.kind {
            Kind::OwnSsh => ("your SSH session", "your SSH sessions"),
            Kind::Ssh => ("SSH session", "SSH sessions"),
            Kind::Open => ("connection", "connections"),
            Kind::Seen => ("", ""),
        };
        let service = service_name(self.protocol, self.service);
        let group = match self.direction {
            Way::Ingress => format!("from {} to {service}", self.peers),
            Way::Egress => format!("to {service} of {}", self.peers),
        };
        match (self.seconds_ago, self.count) {
            (Some(age), count) => {
                let times = times(count);
                write!(f, "{group}, seen {times}, last {}", ago(age))?;
            }
            (None, 1) => {
                let protocol = protocol(self.protocol);
                write!(
                    f,
                    "{one} {} -> {}/{protocol}",
                    self.source, self.destination
                )?;
            }
            (None, count) => write!(f, "{count} {many} {group}")?,
        }
        write!(f, ": {}", self.because)
    }
}

/// What a change would cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Harm {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Connections that are open and would be cut.
    pub connections: u64,
    /// The one who asks would be cut off.
    pub own_ssh: bool,
    /// The largest groups, the operator's own session first.
    pub cuts: Vec<Cut>,
    /// Groups that are not among them.
    pub more: usize,
    /// What could not be looked at, a line each.
    pub notes: Vec<String>,
    /// What audit mode has let pass lately; of a change from audit to enforce mode. It is
    /// told, but no harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audited: Option<Audited>,
}

impl Default for Harm {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

impl Harm {
    pub(super) fn new(mut cuts: Vec<Cut>, notes: Vec<String>) -> Self {
        let open = cuts.iter().filter(|cut| cut.kind != Kind::Seen);
        let connections = open.map(|cut| cut.count).sum();
        let own_ssh = cuts.iter().any(|cut| cut.kind == Kind::OwnSsh);
        let more = cuts.len().saturating_sub(MOST_LINES);
        cuts.truncate(MOST_LINES);
        Self {
            schema: SCHEMA,
            connections,
            own_ssh,
            cuts,
            more,
            notes,
            audited: None,
        }
    }

    /// Whether anything would be cut.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// What it would come to, in a line.
    #[must_use]
    pub fn headline(&self) -> String {
        self.sum("would cut", "would drop")
    }

    fn sum(&self, cut: &str, drop: &str) -> String {
        let seen = self.cuts.iter().any(|cut| cut.kind == Kind::Seen);
        let open = match (self.connections, self.own_ssh) {
            (0, _) => return format!("this change {drop} what has passed lately"),
            (1, true) => format!("this change {cut} your own SSH session"),
            (1, false) => format!("this change {cut} 1 connection that is open now"),
            (count, own) => {
                let own = if own {
                    ", your own SSH session among them"
                } else {
                    ""
                };
                format!("this change {cut} {count} connections that are open now{own}")
            }
        };
        if seen {
            format!(
                "{open}, and {} what has passed lately",
                drop.trim_start_matches("would ")
            )
        } else {
            open
        }
    }

    /// A line for each group, and what is left out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.cuts.iter().map(Cut::to_string).collect();
        if self.more > 0 {
            lines.push(format!("and {} more services", self.more));
        }
        lines.extend(self.notes.iter().cloned());
        lines
    }

    /// What the one who made the change all the same is told, a warning each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        if !self.is_any() {
            return Vec::new();
        }
        let mut lines = vec![self.sum("cuts", "drops")];
        lines.extend(self.lines());
        lines
    }

    /// What the one who asked without force is told.
    #[must_use]
    pub fn refusal(&self) -> Failure {
        let mut lines = vec![self.headline()];
        lines.extend(self.lines());
        lines.extend(self.audited.iter().flat_map(Audited::lines));
        let help = "a rule that allows it; or, if you mean it, --force, best with --confirm 60s: \
                    what is not confirmed is undone";
        Failure {
            data: serde_json::to_value(self).ok(),
            ..Failure::new(exit::REFUSED, lines.join("\n")).help(help)
        }
    }
}

/// `22/TCP`, `ICMP type 8`, `VRRP`, `protocol 89`.
pub(super) fn service_name(number: u8, service: u16) -> String {
    match number {
        number if PORT_PROTOCOLS.contains(&number) => format!("{service}/{}", protocol(number)),
        ICMP | ICMPV6 => format!("{} type {service}", protocol(number)),
        _ => protocol(number),
    }
}

/// As policies write it.
pub(crate) fn protocol(number: u8) -> String {
    match (number, protocol_name(number)) {
        (ICMPV6, _) => "ICMPv6".into(),
        (_, Some(name)) => name.to_ascii_uppercase(),
        (_, None) => format!("protocol {number}"),
    }
}

pub(super) fn times(count: u64) -> String {
    match count {
        1 => "once".into(),
        count => format!("{count} times"),
    }
}

/// `12 s ago`, `3 min ago`, `5 h ago`.
pub(crate) fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3_600),
    }
}
