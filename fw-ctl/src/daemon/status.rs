//! What `fw-ctl status` and `fw-ctl rules` tell, as the daemon sends it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Ingress;
use super::filters::DatapathStatus;
use crate::datapath::flows::Pressure;
use crate::harm::Audited;

/// Version of the JSON of this file.
pub const SCHEMA: u32 = 1;

/// Answer to `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the daemon.
    pub version: String,
    /// Name of the node.
    pub node: String,
    /// `audit`, `enforce`; `none` when no plan is in force. Read from the kernel.
    pub mode: String,
    /// Who decided the mode: `configuration` or `fw-ctl mode`.
    pub mode_source: String,
    /// What is not as it should be; empty when all is well.
    pub degraded: Vec<String>,
    /// What should be looked at some day.
    pub warnings: Vec<String>,
    /// What is on trial, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<OnTrialStatus>,
    /// The plan.
    pub generation: GenerationStatus,
    /// What filters.
    #[serde(default)]
    pub datapath: DatapathStatus,
    /// Every interface that is filtered.
    pub interfaces: Vec<InterfaceStatus>,
    /// Every interface that is not.
    pub unfiltered: Vec<UnfilteredStatus>,
    /// Addresses that are the node's.
    pub addresses: Vec<String>,
    /// Policies that were read.
    pub policies: usize,
    /// Rules of the plan.
    pub rules: usize,
    /// Allowances that come with the program and are on.
    pub builtins: Vec<String>,
    /// Failsafe entries in force.
    #[serde(default)]
    pub failsafe: Vec<FailsafeStatus>,
    /// The VLANs that are admitted: `untagged,212,300-310`; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlans: Option<String>,
    /// Connections that are remembered because their replies would be denied otherwise.
    #[serde(default)]
    pub connections: Pressure,
    /// Addresses that are banned.
    #[serde(default)]
    pub bans: usize,
    /// Lists of prefixes in force.
    #[serde(default)]
    pub lists: Vec<ListStatus>,
    /// What became of packets; counters that never moved are left out.
    pub counters: Vec<CounterStatus>,
    /// Verdicts that were not reported: too many at once.
    pub lost_events: u64,
}

/// A generation that is in force until a deadline, unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnTrialStatus {
    /// Its number.
    pub generation: u64,
    /// Seconds that it was given.
    pub seconds: u64,
    /// Seconds that are left.
    pub left: u64,
}

impl std::fmt::Display for OnTrialStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "generation {} is on trial: unless it is confirmed within {} s, the one before it is \
             in force again (fw-ctl confirm)",
            self.generation, self.left
        )
    }
}

/// Answer to `confirm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The generation that stays in force.
    pub generation: u64,
    /// What the one who asked should know beside.
    pub warnings: Vec<String>,
}

/// Answer to `journal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The newest first.
    pub entries: Vec<JournalEntry>,
    /// Why entries cannot be listed.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A generation of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Its number.
    pub generation: u64,
    /// `in force`, `on trial`, `left`, `not confirmed`.
    pub state: String,
    /// When it came in force, in RFC 3339.
    pub since: Option<String>,
    /// What made it so.
    pub cause: String,
    /// `audit` or `enforce`.
    pub mode: Option<String>,
    /// Files of policies that it was made from.
    pub files: Option<usize>,
    /// Why it is of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// The plan as declared, compiled, installed and read back. Hashes are in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// Number of the plan in force.
    pub number: Option<u64>,
    /// What the files of this moment compile to; `None`: they are refused, or have
    /// changed since they were read last.
    pub declared: Option<String>,
    /// What the daemon compiled last and put in force.
    pub compiled: Option<String>,
    /// What the kernel says is in force.
    pub kernel: Option<String>,
    /// What the kernel's tables hash to now.
    pub read_back: Option<String>,
}

/// A list of prefixes that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListStatus {
    /// The name by which policies refer to it.
    pub name: String,
    /// The file that it was read from.
    pub file: String,
    /// Prefixes.
    pub entries: usize,
    /// Those of them that have expired.
    pub expired: usize,
    /// Those of them that the list has lost, and that are in force for a while still.
    #[serde(default)]
    pub lost: usize,
}

/// A failsafe entry in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailsafeStatus {
    /// `ingress` or `egress`.
    pub direction: String,
    /// Its name among the rules: `failsafe[0]`.
    pub rule: String,
    /// What it lets pass, `ssh` as the ports that it came to: `tcp 22,2222 from anybody`.
    pub allows: String,
    /// `path:line`; empty for the default.
    pub origin: String,
    /// Packets that it let pass.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// An interface that is filtered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// How ingress is attached.
    pub ingress: Ingress,
    /// How egress is: always `tc`.
    pub egress: String,
    /// Why ingress is attached so.
    pub why: String,
}

/// An interface that is not filtered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfilteredStatus {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
    /// Traffic of the node may pass here unfiltered.
    pub gap: bool,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterStatus {
    /// `ingress` or `egress`.
    pub direction: String,
    /// `allowed`, `dropped/default-deny`, …
    pub name: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// Answer to `rules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Number of the plan in force.
    pub generation: u64,
    /// By rule id.
    pub rules: Vec<RuleStatus>,
    /// As [`Status::node`]. From here on what was read at the same time, for who reads it often:
    /// a whole status takes the daemon longer.
    #[serde(default)]
    pub node: String,
    /// As [`Status::mode`].
    #[serde(default)]
    pub mode: String,
    /// As [`Status::counters`].
    #[serde(default)]
    pub counters: Vec<CounterStatus>,
    /// As [`Status::lost_events`].
    #[serde(default)]
    pub lost_events: u64,
}

/// One rule with what it decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Rule id.
    pub id: usize,
    /// `ingress`, `egress`; `both` for the rule of having no policy.
    pub direction: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// Up to which rate it allows: `1000/s per /32 /64 burst 1000`; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// In which VLANs it holds: `untagged,212,300-310`; `None`: in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlans: Option<String>,
    /// Name of the policy.
    pub policy: String,
    /// `ingress[0]`, `default-deny`, …
    pub rule: String,
    /// `path:line`.
    pub origin: String,
    /// Packets that it decided; of a rule with a rate those within.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Packets beyond the rate: dropped, or in audit mode reported; `None`: no rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited: Option<u64>,
    /// Since when it is counted, over reloads, restarts and boots.
    #[serde(default)]
    pub since: String,
    /// When it decided something last, to half a minute; `None`: not since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_hit: Option<String>,
}

/// Answer to `reload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Number of the plan in force.
    pub generation: u64,
    /// Its hash.
    pub hash: String,
    /// Policies that were read.
    pub policies: usize,
    /// Rules of the plan.
    pub rules: usize,
    /// It is on trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<OnTrialStatus>,
    /// What was said about the files.
    pub warnings: Vec<String>,
}

impl std::fmt::Display for Reloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "generation {} is in force: {} policies, {} rules, {}",
            self.generation, self.policies, self.rules, self.hash
        )?;
        match &self.trial {
            Some(trial) => write!(
                f,
                "\nunless it is confirmed within {} s, the one before it is in force again: \
                 fw-ctl confirm",
                trial.left
            ),
            None => Ok(()),
        }
    }
}

/// Answer to `mode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeStatus {
    /// [`SCHEMA`].
    pub schema: u32,
    /// As [`Status::mode`].
    pub mode: String,
    /// As [`Status::mode_source`].
    pub source: String,
    /// What the one who asked should know beside.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What audit mode has let pass lately and enforcement drops; of a change to `enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audited: Option<Audited>,
}

/// Answer to `bans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bans {
    /// [`SCHEMA`].
    pub schema: u32,
    /// By address.
    pub bans: Vec<BanStatus>,
}

/// An address that is banned. Moments are in RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanStatus {
    /// The address.
    pub address: IpAddr,
    /// When it was banned.
    pub since: String,
    /// When that ends; `None`: never.
    pub until: Option<String>,
    /// What the operator said about it.
    pub reason: String,
}

/// Answer to `ban`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banned {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Addresses that are banned now.
    pub addresses: Vec<IpAddr>,
    /// What the one who asked should know beside.
    pub warnings: Vec<String>,
}

/// Answer to `unban`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbanned {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Addresses whose bans were lifted.
    pub addresses: Vec<IpAddr>,
    /// Addresses that were not banned.
    pub missing: Vec<IpAddr>,
    /// What the one who asked should know beside.
    pub warnings: Vec<String>,
}

/// Answer to `detach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Interfaces that are not filtered any more.
    pub interfaces: Vec<String>,
}

/// A hash in hex.
#[must_use]
pub fn hex(hash: [u8; 16]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
