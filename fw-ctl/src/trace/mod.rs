//! Why a new connection passes or not: the path of a packet, step by step, looked
//! up in a plan.
//!
//! The order is that of the datapath: is it for this node, built-ins, failsafe,
//! peer, service, verdict.

mod builtin;
mod flow;

use std::collections::BTreeSet;
use std::net::IpAddr;

use fw_common::wire::{Direction, VerdictWord};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::compile::plan::{DirectionPlan, Mode, Plan, PlanRule};
use crate::control::protocol::Flow;
use crate::observe::{Identities, Identity};
pub use flow::{From, To};

/// Version of the JSON.
pub const SCHEMA: u32 = 1;

/// What a trace looks things up in.
pub struct Context<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Unicast addresses of the node.
    pub local: &'a BTreeSet<IpAddr>,
    /// Who addresses are.
    pub identities: &'a dyn Identities,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The flow, as asked.
    pub flow: Flow,
    /// `ingress` or `egress`; `None` when it is not judged.
    pub direction: Option<String>,
    /// What was looked at, in order.
    pub steps: Vec<Step>,
    /// `allow` or `deny`, whatever the mode.
    pub verdict: String,
    /// `audit` or `enforce`: in audit mode what is denied passes, and is reported.
    pub mode: String,
    /// The rule that decided, where one did.
    pub rule: Option<DecidingRule>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `local`, `built-in`, `failsafe`, `identity`, `service`, `verdict`.
    pub name: String,
    /// What was found.
    pub found: String,
}

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidingRule {
    /// Name of the policy.
    pub policy: String,
    /// `ingress[0]`, `default-deny`, …
    pub rule: String,
    /// `path:line`.
    pub origin: String,
}

/// Traces the first packet of a connection.
#[must_use]
pub fn trace(context: &Context<'_>, flow: Flow) -> Trace {
    let mut tracer = Tracer {
        context,
        flow,
        steps: Vec::new(),
        rule: None,
        direction: None,
    };
    let allowed = tracer.run();
    Trace {
        schema: SCHEMA,
        flow,
        direction: tracer.direction.map(|d| direction_name(d).to_owned()),
        steps: tracer.steps,
        verdict: if allowed { "allow" } else { "deny" }.into(),
        mode: match context.plan.mode {
            Mode::Audit => "audit",
            Mode::Enforce => "enforce",
        }
        .into(),
        rule: tracer.rule,
    }
}

struct Tracer<'a> {
    context: &'a Context<'a>,
    flow: Flow,
    steps: Vec<Step>,
    rule: Option<DecidingRule>,
    direction: Option<Direction>,
}

impl Tracer<'_> {
    fn step(&mut self, name: &str, found: impl Into<String>) {
        self.steps.push(Step {
            name: name.into(),
            found: found.into(),
        });
    }

    /// Whether it may pass.
    fn run(&mut self) -> bool {
        let Some(direction) = self.local() else {
            self.step("verdict", "passes: not judged");
            return true;
        };
        self.direction = Some(direction);
        if let Some(found) = builtin::matching(&self.flow, direction, self.context.plan.builtins) {
            self.step("built-in", found);
            self.step("verdict", "allowed by a built-in, before any policy");
            return true;
        }
        self.step("built-in", "none fits");
        let peer = match direction {
            Direction::Ingress => self.flow.source,
            Direction::Egress => self.flow.destination,
        };
        let plan = self.context.plan;
        let (prefix, row) = peer_class(plan, peer);
        let tables = &plan.directions[direction as usize];
        let column = service_class(tables, &self.flow);
        let word = cell(tables, row, column);
        let rule = plan.rules.get(usize::from(word.rule()));
        if word.is_failsafe() {
            self.step("failsafe", rule.map_or_else(|| "fits".into(), describe));
            self.decided(rule);
            self.step("verdict", "allowed by a failsafe entry, before any policy");
            return true;
        }
        self.step("failsafe", "none fits");
        let identity = self.context.identities.identity(peer);
        self.step("identity", identity_text(peer, &identity, prefix, row));
        let others = others(tables, row, column, word);
        self.step("service", service_text(&self.flow, column, &others, plan));
        let by = rule.map_or_else(|| "an unknown rule".into(), describe);
        self.decided(rule);
        let verdict = match (word.is_allow(), word.is_explicit_deny()) {
            (true, _) => "allowed",
            (false, true) => "denied by a deny rule",
            (false, false) => "denied, because nothing allows it",
        };
        let audit = if !word.is_allow() && plan.mode == Mode::Audit {
            "; the mode is audit: it is reported, and passes"
        } else {
            ""
        };
        self.step("verdict", format!("{verdict}: {by}{audit}"));
        word.is_allow()
    }

    fn decided(&mut self, rule: Option<&PlanRule>) {
        self.rule = rule.map(|rule| DecidingRule {
            policy: rule.policy.clone(),
            rule: rule.rule.clone(),
            origin: rule.origin.clone(),
        });
    }

    fn local(&mut self) -> Option<Direction> {
        let Flow {
            source,
            destination,
            ..
        } = self.flow;
        let local = self.context.local;
        match (local.contains(&source), local.contains(&destination)) {
            (true, true) => {
                self.step(
                    "local",
                    "both addresses are the node's: the packet never leaves it",
                );
                None
            }
            (false, true) => {
                self.step("local", format!("{destination} is the node's: ingress"));
                Some(Direction::Ingress)
            }
            (true, false) if destination.is_multicast() => {
                self.step("local", format!("{destination} is a multicast address"));
                None
            }
            (true, false) => {
                self.step("local", format!("{source} is the node's: egress"));
                Some(Direction::Egress)
            }
            (false, false) => {
                self.step("local", "neither address is the node's");
                None
            }
        }
    }
}

/// The longest prefix that holds `address`, and its class.
fn peer_class(plan: &Plan, address: IpAddr) -> (Option<IpNet>, u16) {
    plan.peers
        .iter()
        .filter(|(prefix, _)| prefix.contains(&address))
        .max_by_key(|(prefix, _)| prefix.prefix_len())
        .map_or((None, 0), |(prefix, class)| (Some(*prefix), *class))
}

/// The column of the flow's service.
fn service_class(tables: &DirectionPlan, flow: &Flow) -> u16 {
    let port = usize::from(flow.destination_port);
    let class = match flow.protocol {
        6 => tables.ports[0].get(port),
        17 => tables.ports[1].get(port),
        132 => tables.ports[2].get(port),
        1 => tables.icmp[0].get(port),
        58 => tables.icmp[1].get(port),
        number => tables.protocols.get(usize::from(number)),
    };
    class.copied().unwrap_or(0)
}

fn cell(tables: &DirectionPlan, row: u16, column: u16) -> VerdictWord {
    let index = usize::from(row) * tables.columns as usize + usize::from(column);
    tables.cells.get(index).copied().unwrap_or_default()
}

/// Rules that decide for this peer on other services.
fn others(tables: &DirectionPlan, row: u16, column: u16, word: VerdictWord) -> BTreeSet<u16> {
    (0..tables.columns)
        .filter_map(|other| u16::try_from(other).ok())
        .filter(|other| *other != column)
        .map(|other| cell(tables, row, other))
        .filter(|other| other.rule() != word.rule())
        .map(VerdictWord::rule)
        .collect()
}

fn service_text(flow: &Flow, column: u16, others: &BTreeSet<u16>, plan: &Plan) -> String {
    let mut text = format!(
        "{}, service class {column}",
        flow::service_name(flow.protocol, flow.destination_port)
    );
    let others: Vec<_> = others
        .iter()
        .filter_map(|rule| plan.rules.get(usize::from(*rule)))
        .map(describe)
        .collect();
    if !others.is_empty() {
        text.push_str("; on other services this peer meets ");
        text.push_str(&others.join(", "));
    }
    text
}

fn identity_text(peer: IpAddr, identity: &Identity, prefix: Option<IpNet>, row: u16) -> String {
    let labels = identity.labels.join(" ");
    let prefix = prefix.map_or_else(|| "no prefix".into(), |prefix| prefix.to_string());
    format!(
        "{peer} is {} [{labels}], by {prefix}, peer class {row}",
        identity.name()
    )
}

fn describe(rule: &PlanRule) -> String {
    let mut text = rule.rule.clone();
    if !rule.policy.is_empty() {
        text.push_str(&format!(" of {}", rule.policy));
    }
    if !rule.origin.is_empty() {
        text.push_str(&format!(" ({})", rule.origin));
    }
    text
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

#[cfg(test)]
mod tests;
