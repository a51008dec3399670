//! A plan: the exact content of the kernel's tables, as a plain value.
//!
//! Nothing touches the kernel before the plan is whole and fits. It can be
//! printed, compared, hashed, measured against capacity and refused.

use fw_common::wire::{Direction, VerdictWord};

use crate::lookup::Runs;

use crate::policy::rate::Rate;
use crate::vlans::VlanSet;

/// Name of the rule that denies what is in a VLAN which is not admitted.
pub const NOT_ADMITTED: &str = "vlan-not-admitted";

/// Whether what is denied is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Report what would be dropped, and let it pass.
    Audit,
    /// Drop it.
    Enforce,
}

impl Mode {
    /// `audit` or `enforce`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

/// The content of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Audit or enforce.
    pub mode: Mode,
    /// Bits of the built-ins that are on (`fw_common::wire::Builtin::bit`).
    pub builtins: u32,
    /// Class of every address.
    pub peers: Runs,
    /// Peer classes: rows of both matrices, for each VLAN class.
    pub rows: u32,
    /// Class by VLAN id (4,096 entries, 0 for untagged frames); empty: one class for all,
    /// and nothing depends on the VLAN.
    pub vlans: Vec<u16>,
    /// Ingress, egress: indexed by [`Direction`].
    pub directions: [DirectionPlan; 2],
    /// By rule id. `[0]` is `RULE_NO_POLICY`, `[1]` is `RULE_BAN`.
    pub rules: Vec<PlanRule>,
}

/// Service classes and verdicts of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectionPlan {
    /// Service classes: columns of the matrix.
    pub columns: u32,
    /// Class by destination port (65,536 entries) of TCP, UDP, SCTP.
    pub ports: [Vec<u16>; 3],
    /// Class by type (256 entries) of ICMP, ICMPv6.
    pub icmp: [Vec<u16>; 2],
    /// Class by IP protocol number (256 entries) for all other protocols.
    pub protocols: Vec<u16>,
    /// `VLAN classes × rows × columns` words; cell = (VLAN class × rows + peer class) ×
    /// columns + service class.
    pub cells: Vec<VerdictWord>,
}

/// What a rule id stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRule {
    /// Name of the policy; of the one that switched default deny on, for a default deny.
    pub policy: String,
    /// `ingress[0]`, `specs[1].egressDeny[2]`, `default-deny`, `failsafe[0]`, `no-policy`, `banned-peer`,
    /// `vlan-not-admitted`.
    pub rule: String,
    /// `path:line`, empty where nothing was written.
    pub origin: String,
    /// Direction that it belongs to; `None` for those of both.
    pub direction: Option<Direction>,
    /// `allow`, `deny`.
    pub allow: bool,
    /// Cilium's name of the match: `none`, `L3-Only`, `L3-L4`, `L4-Only`, `all`.
    pub match_type: &'static str,
    /// How much it allows; `None`: without a limit.
    pub rate: Option<Rate>,
    /// In which VLANs it holds; `None`: in all.
    pub vlans: Option<VlanSet>,
    /// What its policy wants told with its verdicts (`log.value`); empty: nothing.
    pub log: String,
}

impl PlanRule {
    /// `ingress`, `egress`, `both`.
    #[must_use]
    pub fn direction_name(&self) -> &'static str {
        self.direction.map_or("both", Direction::name)
    }

    /// For tests: it allows whatever comes in, by an item of a policy.
    #[cfg(test)]
    pub fn allowing(policy: &str, rule: &str) -> Self {
        Self {
            policy: policy.into(),
            rule: rule.into(),
            origin: String::new(),
            direction: Some(Direction::Ingress),
            allow: true,
            match_type: "all",
            rate: None,
            vlans: None,
            log: String::new(),
        }
    }

    /// `allow`, `deny`.
    #[must_use]
    pub fn verdict_name(&self) -> &'static str {
        if self.allow { "allow" } else { "deny" }
    }
}
