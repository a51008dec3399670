//! The answer about one flow.

use fw_common::wire::{Direction, RULE_NO_POLICY, VerdictWord};

use crate::compile::plan::{NOT_ADMITTED, Plan};

/// Why a flow passes or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing allows it, and a policy has switched default deny on.
    DefaultDeny,
    /// A deny rule names it.
    DenyRule,
    /// An allow rule names it.
    AllowRule,
    /// Nothing denies it, and no policy has switched default deny on.
    DefaultAllow,
    /// No policy of this direction selects the node.
    NoPolicy,
    /// A failsafe entry lets it pass.
    Failsafe,
    /// A built-in lets it pass.
    Builtin,
    /// Its VLAN is not admitted.
    VlanNotAdmitted,
}

impl Reason {
    /// Its name in JSON and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DefaultDeny => "default-deny",
            Self::DenyRule => "deny-rule",
            Self::AllowRule => "allow-rule",
            Self::DefaultAllow => "default-allow",
            Self::NoPolicy => "no-policy",
            Self::Failsafe => "failsafe",
            Self::Builtin => "builtin",
            Self::VlanNotAdmitted => NOT_ADMITTED,
        }
    }
}

/// The answer about one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Which way it goes.
    pub direction: Direction,
    /// Whether it may pass.
    pub allow: bool,
    /// Why.
    pub reason: Reason,
    /// Name of the policy that decided; on default deny of the one that switched
    /// it on; empty where no policy did.
    pub policy: String,
    /// `ingress[0]`, `specs[1].egressDeny[2]`, `failsafe[0]`, `no-policy`, or the
    /// name of a built-in.
    pub rule: String,
    /// `path:line`, empty where nothing was written.
    pub origin: String,
}

impl Judgement {
    /// What a word of the plan's matrix says.
    #[must_use]
    pub fn from_word(plan: &Plan, direction: Direction, word: VerdictWord) -> Self {
        let rule = plan.rule(word);
        let reason = if word.is_failsafe() {
            Reason::Failsafe
        } else if word.is_explicit_deny() {
            Reason::DenyRule
        } else if word.is_unadmitted() {
            Reason::VlanNotAdmitted
        } else if !word.is_allow() {
            Reason::DefaultDeny
        } else if word.rule() == RULE_NO_POLICY {
            Reason::NoPolicy
        } else if rule.rule == "default-allow" {
            Reason::DefaultAllow
        } else {
            Reason::AllowRule
        };
        Self {
            direction,
            allow: word.is_allow(),
            reason,
            policy: rule.policy.clone(),
            rule: rule.rule.clone(),
            origin: rule.origin.clone(),
        }
    }

    /// That a built-in let the flow pass.
    #[must_use]
    pub fn builtin(direction: Direction, name: &str) -> Self {
        Self {
            direction,
            allow: true,
            reason: Reason::Builtin,
            policy: String::new(),
            rule: name.to_owned(),
            origin: String::new(),
        }
    }
}
