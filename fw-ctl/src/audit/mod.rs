//! What enforcement would drop, or drops: the rows of the daemon's ledger, judged again by
//! the plan in force and named by the inventory, and grouped by service and peer.
//!
//! - `groups`: the rows of `fw-ctl audit report`, and how they are called.
//! - `service`: how services are called.

mod groups;
mod service;

use std::net::IpAddr;

use fw_common::wire::DropReason;
use serde::{Deserialize, Serialize};

pub use groups::{Group, Select, find, groups};
pub use service::service;

use crate::harm::{Because, Seen, Way};

/// Version of the JSON.
pub const SCHEMA: u32 = 1;

/// What the daemon knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `audit` or `enforce`.
    pub mode: String,
    /// When it was asked, in seconds since 1970.
    pub now: u64,
    /// Who the peers are, none twice.
    pub sources: Vec<Source>,
    /// What was not allowed.
    pub entries: Vec<Entry>,
    /// Rows of what was audited that had to be forgotten for others.
    pub displaced_audited: u64,
    /// And of what was dropped.
    pub displaced_dropped: u64,
    /// What is not as it should be with the ledger, a line each.
    pub notes: Vec<String>,
}

/// Who a peer is, by the inventory in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// What people call it: `node2 (remote-node)`, `app=web in shop`, `CIDR group office`,
    /// `world`.
    pub name: String,
    /// Name of the reserved identity, if it has one: `world`, `remote-node`, …
    pub entity: Option<String>,
    /// `source:key=value`, sorted.
    pub labels: Vec<String>,
}

/// Why something was not allowed, as far as it matters to who wants it allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Policy, VLANs that are not admitted, or a ban.
    Policy,
    /// A rate limit.
    Limit,
    /// The packet is not as it should be.
    Packet,
}

impl From<DropReason> for Class {
    fn from(reason: DropReason) -> Self {
        match reason {
            DropReason::RateLimited => Self::Limit,
            reason if reason.is_policy() => Self::Policy,
            _ => Self::Packet,
        }
    }
}

/// New connections of one peer to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// It was dropped; otherwise audit mode let it pass.
    pub dropped: bool,
    /// Which way they went.
    pub direction: Way,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port, or type of ICMP.
    pub service: u16,
    /// Id of the VLAN, 0 for none.
    pub vlan: u16,
    /// The node's address, the last time.
    pub local: IpAddr,
    /// The peer's; unspecified of what could not be read so far.
    pub remote: IpAddr,
    /// Who that is: a place in [`Answer::sources`].
    pub source: usize,
    /// Why it was not allowed then.
    pub class: Class,
    /// When it was first reported, in seconds since 1970.
    pub first: u64,
    /// And last.
    pub last: u64,
    /// How often: once a new connection, and of many at once a sample.
    pub count: u64,
    /// The plan in force lets it pass.
    pub passes: bool,
    /// What of the plan in force decides.
    pub because: Because,
}

impl Entry {
    /// The same as changes are judged by; `now` in seconds since 1970.
    #[must_use]
    pub fn seen(&self, now: u64) -> Seen {
        Seen {
            direction: self.direction.into(),
            local: self.local,
            remote: self.remote,
            protocol: self.protocol,
            service: self.service,
            vlan: self.vlan,
            reason: 0,
            count: self.count,
            age: now.saturating_sub(self.last),
        }
    }
}
