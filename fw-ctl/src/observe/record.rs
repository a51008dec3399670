//! One report of the datapath with names in place of numbers.

use std::net::IpAddr;
use std::sync::Arc;

use fw_common::wire::{Action, Direction, DropReason, Event};
use serde::{Deserialize, Serialize};

use super::{Clock, HOST, Identify, Identity};
use crate::compile::plan::PlanRule;

/// What a [`Record`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// The packet passed.
    Allow,
    /// It was dropped.
    Deny,
    /// It would have been dropped.
    Audit,
}

/// One side of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address; unspecified when the packet could not be parsed that far.
    pub address: IpAddr,
    /// Its port, 0 where there is none.
    pub port: u16,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Name of the pod whose address it is, without its namespace; empty: none is known.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub pod: Box<str>,
}

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleName {
    /// Name of the policy.
    pub policy: String,
    /// `ingress[0]`, `default-deny`, `failsafe[0]`, …
    pub rule: String,
    /// `path:line`; empty where nothing was written.
    pub origin: String,
    /// Cilium's name of the match: `none`, `L3-Only`, `L3-L4`, `L4-Only`, `all`.
    pub match_type: String,
    /// `log.value` of the policy; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

impl RuleName {
    /// `by ingress[0] of policy web (web.yaml:9)`
    #[must_use]
    pub fn phrase(&self) -> String {
        let mut text = format!("by {}", self.rule);
        if !self.policy.is_empty() {
            text.push_str(&format!(" of policy {}", self.policy));
        }
        if !self.origin.is_empty() {
            text.push_str(&format!(" ({})", self.origin));
        }
        text
    }
}

impl From<&PlanRule> for RuleName {
    fn from(rule: &PlanRule) -> Self {
        Self {
            policy: rule.policy.clone(),
            rule: rule.rule.clone(),
            origin: rule.origin.clone(),
            match_type: rule.match_type.to_owned(),
            log: rule.log.clone(),
        }
    }
}

/// One verdict, as the daemon sends it to its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its place among all that were told, from 1; 0 before that.
    #[serde(default)]
    pub number: u64,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// `cluster/node`, as Hubble names nodes.
    pub node: Arc<str>,
    /// Its labels as `key=value`, sorted.
    #[serde(default, skip_serializing_if = "nothing")]
    pub node_labels: Arc<[String]>,
    /// Passed, dropped, or would have been.
    pub told: Told,
    /// [`DropReason`] slot; `None` when allowed.
    pub reason: Option<u8>,
    /// Towards the node.
    pub ingress: bool,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// 4 or 6; 0 when the packet could not be parsed that far.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// Outermost VLAN id, 0 for none.
    pub vlan: u16,
    /// Length of the frame.
    pub length: u32,
    /// Index of the interface.
    pub ifindex: u32,
    /// Its name; empty when it is gone.
    pub interface: Arc<str>,
    /// Number of the plan that judged.
    pub plan: u64,
    /// The rule; `None` when that plan is not known any more.
    pub rule: Option<Arc<RuleName>>,
}

fn nothing(list: &[String]) -> bool {
    list.is_empty()
}

impl Record {
    /// Why it was or would have been dropped.
    #[must_use]
    pub fn drop_reason(&self) -> Option<DropReason> {
        self.reason.and_then(DropReason::from_slot)
    }

    /// Whether a policy decided, rather than a malformed packet.
    #[must_use]
    pub fn by_policy(&self) -> bool {
        self.drop_reason().is_none_or(DropReason::is_policy)
    }

    /// Cilium's name of the match.
    #[must_use]
    pub fn match_type(&self) -> &str {
        match &self.rule {
            Some(rule) if self.by_policy() => &rule.match_type,
            _ => "none",
        }
    }

    /// The policy behind the verdict, where a written one is.
    #[must_use]
    pub fn decided_by(&self) -> Option<&str> {
        let rule = self.rule.as_ref().filter(|_| self.by_policy())?;
        let is_written = !rule.origin.is_empty() && !rule.policy.is_empty();
        is_written.then_some(&rule.policy)
    }

    /// What that policy wants told with its verdicts.
    #[must_use]
    pub fn policy_log(&self) -> Option<&str> {
        let rule = self.rule.as_ref().filter(|_| self.by_policy())?;
        (!rule.log.is_empty()).then_some(&rule.log)
    }

    /// The side that is not the node.
    #[must_use]
    pub fn remote(&self) -> &Endpoint {
        if self.ingress {
            &self.source
        } else {
            &self.destination
        }
    }
}

/// Gives an event its names; the node has one, and labels. `interface` and `rule` are what the caller knows of
/// `event.ifindex` and of rule `event.rule` in plan `event.plan`.
#[must_use]
pub fn resolve(
    event: &Event,
    (node, node_labels): (&Arc<str>, &Arc<[String]>),
    clock: Clock,
    identities: &dyn Identify,
    interface: Option<&Arc<str>>,
    rule: Option<&Arc<RuleName>>,
) -> Record {
    let told = match event.action {
        action if action == Action::Allow as u8 => Told::Allow,
        action if action == Action::Audit as u8 => Told::Audit,
        _ => Told::Deny,
    };
    let ingress = event.direction == Direction::Ingress as u8;
    let endpoint = |address: fw_common::wire::Address, port, local| {
        let address = IpAddr::from(address);
        let mut identity = identities.identity(address);
        // The kernel knows addresses of the node that no inventory lists.
        if local && identity.number != HOST {
            identity = Identity::host();
        }
        // Most are none, and asking twice costs.
        let pod = match identity.is_of_a_pod() {
            true => identities.pod(address).unwrap_or_default().into(),
            false => Box::default(),
        };
        Endpoint {
            address,
            port,
            identity,
            pod,
        }
    };
    Record {
        number: 0,
        time: clock.real(event.time),
        node: Arc::clone(node),
        node_labels: Arc::clone(node_labels),
        told,
        reason: (told != Told::Allow).then_some(event.reason),
        ingress,
        source: endpoint(event.source, event.source_port, !ingress),
        destination: endpoint(event.destination, event.destination_port, ingress),
        family: event.family,
        protocol: event.protocol,
        tcp_flags: event.tcp_flags,
        icmp_type: event.icmp_type,
        icmp_code: event.icmp_code,
        vlan: event.vlan,
        length: event.length,
        ifindex: event.ifindex,
        interface: interface.map_or_else(|| "".into(), Arc::clone),
        plan: event.plan,
        rule: rule.map(Arc::clone),
    }
}
