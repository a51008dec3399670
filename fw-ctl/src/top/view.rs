//! What there is to see at one moment: the JSON of `fw-ctl top -o json`, and what is drawn.

use serde::Serialize;

/// Version of the JSON of this file.
pub const SCHEMA: u32 = 1;

/// Everything between two readings. Rates are `None` where two readings cannot be compared: at
/// first, after a reload (other rules, other counters), or when counters began anew.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct View {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When the second reading was, in RFC 3339.
    pub time: String,
    /// Name of the node.
    pub node: String,
    /// `audit` or `enforce`.
    pub mode: String,
    /// Number of the plan in force.
    pub generation: u64,
    /// Seconds between the readings; `None`: there is only one.
    pub seconds: Option<f64>,
    /// Exact, in the order of the plan.
    pub rules: Vec<RuleRate>,
    /// Exact, in the order of the counters.
    pub reasons: Vec<ReasonRate>,
    /// Reported flows by sender.
    pub sources: Vec<FlowRate>,
    /// By protocol and port of the receiver.
    pub ports: Vec<FlowRate>,
    /// By interface.
    pub interfaces: Vec<FlowRate>,
    /// What was dropped last, or would have been; the newest first.
    pub drops: Vec<Dropped>,
    /// Verdicts a second that the datapath did not report, as they were too many.
    pub unreported_per_second: Option<f64>,
    /// Reports that came faster than they were read here, since the beginning.
    pub missed: u64,
    /// Why there are no counters now.
    #[serde(skip)]
    pub trouble: Option<String>,
    /// Why there are no reports now.
    #[serde(skip)]
    pub deaf: Option<String>,
}

/// Packets and bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Packets.
    pub packets_per_second: Option<f64>,
    /// Bytes of their frames.
    pub bytes_per_second: Option<f64>,
}

/// What a rule decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RuleRate {
    /// `ingress`, `egress` or `both`.
    pub direction: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// Name of the policy.
    pub policy: String,
    /// `ingress[0]`, `default-deny`, …
    pub rule: String,
    /// `path:line`.
    pub origin: String,
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Now.
    #[serde(flatten)]
    pub rate: Rate,
    /// Packets a second beyond its limit, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited_per_second: Option<f64>,
}

/// What becomes of packets.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReasonRate {
    /// `ingress` or `egress`.
    pub direction: String,
    /// `allowed`, `dropped/default-deny`, …
    pub reason: String,
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Now.
    #[serde(flatten)]
    pub rate: Rate,
}

/// What is reported of one source, port or interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FlowRate {
    /// `203.0.113.7`, `tcp/22`, `eth0`; empty for the others.
    pub name: String,
    /// Who that is, of a source: `world`, or a number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// All that have no row of their own any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// New connections so far.
    pub new: u64,
    /// Drops so far, in audit mode what would be dropped.
    pub denied: u64,
    /// New connections a second; `None`: nobody listened all the time.
    pub new_per_second: Option<f64>,
    /// Drops a second.
    pub denied_per_second: Option<f64>,
}

/// A packet that was dropped, or would have been.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Dropped {
    /// Nanoseconds since 1970.
    pub nanoseconds: u64,
    /// It passed, because the mode is audit.
    pub audited: bool,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `eth0`.
    pub interface: String,
    /// `tcp/22`.
    pub port: String,
    /// `203.0.113.7:40000`.
    pub source: String,
    /// `10.0.0.10:22`.
    pub destination: String,
    /// `default-deny`, …
    pub reason: String,
    /// Name of the policy; empty when it is not known.
    pub policy: String,
    /// `default-deny`, `ingressDeny[0]`, …
    pub rule: String,
}
