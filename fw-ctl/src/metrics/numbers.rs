//! What the daemon answers a scraper.

use serde::{Deserialize, Serialize};

use super::Histogram;
use crate::datapath::flows::Pressure;
use crate::observe::Tally;

/// Numbers of one moment. Counters of packets count since the tables were made, which outlast
/// the daemon; none goes down while the daemon lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Version of this answer.
    pub schema: u32,
    /// Version of the daemon.
    pub version: String,
    /// Number of the layout of the tables.
    pub tables: u32,
    /// `audit`, `enforce`; `none` when no plan is in force.
    pub mode: String,
    /// What is not as it should be, a line each.
    pub problems: Vec<String>,
    /// Whether packets are judged by a plan.
    pub judging: bool,
    /// Number of the plan in force; 0: none.
    pub generation: u64,
    /// Policies that it was made of.
    pub policies: u64,
    /// What became of packets.
    pub packets: Vec<PacketNumbers>,
    /// What rules decided, the first of them.
    pub rules: Vec<RuleNumbers>,
    /// Rules that are left out.
    pub more_rules: u64,
    /// Connections that are remembered.
    pub connections: Pressure,
    /// How full tables are.
    pub maps: Vec<MapNumbers>,
    /// Interfaces that are filtered, the first of them.
    pub interfaces: Vec<InterfaceNumbers>,
    /// Interfaces that are left out.
    pub more_interfaces: u64,
    /// Interfaces by which traffic of the node may pass unfiltered.
    pub gaps: u64,
    /// Verdicts that were not reported: too many at once.
    pub lost_events: u64,
    /// How long reloads took that came in force.
    pub reloads: Histogram,
    /// Reloads that were refused.
    pub refused: u64,
    /// Verdicts that were reported, which the daemon's loop does not know of.
    #[serde(skip)]
    pub events: Tally,
    /// Connections that were ended for others, which only the server knows of.
    #[serde(skip)]
    pub displaced: u64,
}

/// What became of packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketNumbers {
    /// `ingress` or `egress`.
    pub direction: String,
    /// `allowed`, `dropped`, `audited`; `passed`: not asked of any policy.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// What a rule decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleNumbers {
    /// `ingress`, `egress`, `both`.
    pub direction: String,
    /// Name of its policy.
    pub policy: String,
    /// `ingress[0]`, `default-deny`, …
    pub rule: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Packets beyond its rate, if it has one.
    pub limited: Option<u64>,
}

/// How full a table of the kernel is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapNumbers {
    /// Which.
    pub map: String,
    /// Entries in use.
    pub entries: u64,
    /// Entries that there is room for.
    pub limit: u64,
}

/// An interface that is filtered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceNumbers {
    /// Its name.
    pub name: String,
    /// How ingress is attached: `xdp-native`, `xdp-generic`, `tc`.
    pub ingress: String,
}
