//! Why a new connection passes or not: the path of a packet, step by step.
//!
//! The order is that of the datapath: is it for this node, built-ins, VLAN, failsafe (told
//! also where a built-in has decided already),
//! bans, peer, service, verdict. The verdict is looked up in the plan, as the kernel
//! does; the rules that were candidates come from the rules behind it.

mod flow;
mod programs;

use std::net::IpAddr;

use fw_common::wire::{BUILTINS, Direction, RULE_BAN, VerdictWord};
use serde::{Deserialize, Serialize};

use crate::compile::plan::{Mode, Plan, PlanRule};
use crate::control::protocol::Flow;
use crate::engine;
use crate::netlink::LocalAddresses;
use crate::observe::{Identify, Numbered};
use crate::policy::rules::{
    CidrMatchMode, ICMP, ICMPV6, PeerSelector, Peers, Rule, RuleSet, Service,
};
use crate::reference::builtin_name;
use crate::vlans;
pub use flow::{From, To};
pub use programs::{Programs, compare};

/// Version of the JSON.
pub const SCHEMA: u32 = 1;

/// Candidates that are named; more are counted.
const NAMED: usize = 5;

/// What a trace looks things up in.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The rules that it was compiled from.
    pub rules: &'a RuleSet,
    /// Which identities CIDR rules may match.
    pub cidr_match_mode: CidrMatchMode,
    /// Unicast addresses of the node.
    pub local: &'a LocalAddresses,
    /// Who addresses are.
    pub identities: &'a Numbered,
    /// Whether a peer is banned: what to say of it.
    pub ban: &'a dyn Fn(IpAddr) -> Option<String>,
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
    /// What the programs in the kernel say; `None` where they were not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<Programs>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `local`, `built-in`, `vlan`, `failsafe`, `ban`, `identity`, `group`, `service`, `rules`,
    /// `verdict`, `conntrack`, `program`; empty: as the one before.
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

/// Who decides about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody: it is not judged.
    NotJudged,
    /// A built-in, which lets it pass.
    Builtin,
    /// A ban.
    Banned,
    /// A rule, or that there is none.
    Rule(VerdictWord),
}

impl Decision {
    const fn is_allow(self) -> bool {
        match self {
            Self::NotJudged | Self::Builtin => true,
            Self::Banned => false,
            Self::Rule(word) => word.is_allow(),
        }
    }
}

/// Traces the first packet of a connection.
#[must_use]
pub fn trace(context: Context<'_>, flow: Flow) -> Trace {
    decide(context, flow).0
}

/// The same for who wants to compare it: with the decision, by the plan alone.
#[must_use]
pub fn decide(context: Context<'_>, flow: Flow) -> (Trace, Decision) {
    let mut tracer = Tracer {
        context,
        flow,
        steps: Vec::new(),
        rule: None,
        direction: None,
    };
    let decision = tracer.run();
    let trace = Trace {
        schema: SCHEMA,
        flow,
        direction: tracer
            .direction
            .map(|direction| direction.name().to_owned()),
        steps: tracer.steps,
        verdict: if decision.is_allow() { "allow" } else { "deny" }.into(),
        mode: match context.plan.mode {
            Mode::Audit => "audit",
            Mode::Enforce => "enforce",
        }
        .into(),
        rule: tracer.rule,
        programs: None,
    };
    (trace, decision)
}

struct Tracer<'a> {
    context: Context<'a>,
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

    fn run(&mut self) -> Decision {
        let Some(direction) = self.local() else {
            self.step("failsafe", "not asked");
            self.step("verdict", "passes: not judged");
            return Decision::NotJudged;
        };
        self.direction = Some(direction);
        let plan = self.context.plan;
        let judged = judged(&self.flow, direction);
        let (peer, service) = (judged.peer(), judged.service());
        let word = plan.lookup(direction, self.flow.vlan, peer, service);
        if let Some(name) = builtin_name(plan.builtins, &judged) {
            self.step("built-in", described(name));
            self.failsafe(direction, word);
            self.step("verdict", "allowed by a built-in, before any policy");
            return Decision::Builtin;
        }
        self.step("built-in", "none fits");
        let rule = plan.rule(word);
        self.decide(word);
        self.vlan(word);
        self.failsafe(direction, word);
        if word.is_failsafe() {
            self.step("verdict", "allowed by a failsafe entry, before any policy");
            return Decision::Rule(word);
        }
        if let Some(ban) = (self.context.ban)(peer) {
            self.step("ban", ban);
            return self.banned();
        }
        if word.is_unadmitted() {
            self.step("verdict", verdict(word, rule, plan.mode));
            return Decision::Rule(word);
        }
        self.identity(peer);
        self.groups(direction, peer);
        self.candidates(direction, peer, service);
        self.step("verdict", verdict(word, rule, plan.mode));
        Decision::Rule(word)
    }

    /// What the failsafe entries say, on every trace: it is they who keep the operator in,
    /// whatever else lets a packet pass today.
    fn failsafe(&mut self, direction: Direction, word: VerdictWord) {
        let plan = self.context.plan;
        if word.is_failsafe() {
            self.step("failsafe", describe(plan.rule(word)));
            return;
        }
        let is_entry = |rule: &&PlanRule| {
            rule.direction == Some(direction) && rule.rule.starts_with("failsafe[")
        };
        let found = match plan.rules.iter().filter(is_entry).count() {
            0 => "there are none in this direction".to_owned(),
            1 => "the only one does not fit".to_owned(),
            entries => format!("none of {entries} fits"),
        };
        self.step("failsafe", found);
    }

    /// Where anything depends on it, or it was asked about.
    fn vlan(&mut self, word: VerdictWord) {
        let plan = self.context.plan;
        let vlan = vlans::name(self.flow.vlan);
        if plan.needs_vlan() {
            let class = plan.vlan_class(self.flow.vlan);
            let admitted = if word.is_unadmitted() {
                ", which is not admitted"
            } else {
                ""
            };
            self.step("vlan", format!("{vlan}{admitted}; VLAN class {class}"));
        } else if self.flow.vlan != vlans::UNTAGGED {
            self.step("vlan", format!("{vlan}; nothing depends on it"));
        }
    }

    fn banned(&mut self) -> Decision {
        let plan = self.context.plan;
        let word = VerdictWord::deny(RULE_BAN);
        self.decide(word);
        self.step("verdict", verdict(word, plan.rule(word), plan.mode));
        Decision::Banned
    }

    fn decide(&mut self, word: VerdictWord) {
        let rule = self.context.plan.rule(word);
        self.rule = Some(DecidingRule {
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
        let (found, direction) = match (local.contains(&source), local.contains(&destination)) {
            (true, true) => (
                "both addresses are the node's: the packet never leaves it".to_owned(),
                None,
            ),
            (false, true) => (
                format!("{destination} is the node's: ingress"),
                Some(Direction::Ingress),
            ),
            (true, false) => (
                format!("{source} is the node's: egress"),
                Some(Direction::Egress),
            ),
            (false, false) => ("neither address is the node's".to_owned(), None),
        };
        self.step("local", found);
        direction
    }

    fn identity(&mut self, peer: IpAddr) {
        let plan = self.context.plan;
        let identity = self.context.identities.identity(peer);
        let (first, last, class) = plan.peers.find(peer);
        self.step(
            "identity",
            format!(
                "{peer} is {} [{}]; peer class {class}, as all from {first} to {last}",
                identity.name(),
                identity.labels.join(" "),
            ),
        );
    }

    /// The groups of the rules that mean this peer, and the line that says so.
    fn groups(&mut self, direction: Direction, peer: IpAddr) {
        let context = self.context;
        if !context
            .cidr_match_mode
            .admits(context.identities.labels(peer))
        {
            return;
        }
        let mut lines = Vec::new();
        for rule in &context.rules.direction(direction).rules {
            let Peers::Only(selectors) = &rule.peers else {
                continue;
            };
            for selector in selectors {
                let PeerSelector::Group(block) = selector else {
                    continue;
                };
                if let Some((prefix, line)) = block.find(peer) {
                    let group = &block.group;
                    let place = match line {
                        0 => format!("{}, which has lost it, for a while still", group.file),
                        line => format!("{}:{line}", group.file),
                    };
                    let found = format!("{prefix} is in the CIDR group {} ({place})", group.name);
                    if !lines.contains(&found) {
                        lines.push(found);
                    }
                }
            }
        }
        for line in lines {
            self.step("group", line);
        }
    }

    /// The rules that mean this peer and this service, and those that come close.
    fn candidates(&mut self, direction: Direction, peer: IpAddr, service: Service) {
        let context = self.context;
        let labels = context.identities.labels(peer);
        let rules = &context.rules.direction(direction).rules;
        let vlan = self.flow.vlan;
        let holds = |rule: &&Rule| rule.vlans.as_ref().is_none_or(|set| set.contains(vlan));
        let means_peer = |rule: &&Rule| rule.peers.matches(peer, labels, context.cidr_match_mode);
        let means_service = |rule: &&Rule| rule.services.contains(service);
        let meant = || rules.iter().filter(means_peer).filter(means_service);
        let matching = named(meant().filter(holds));
        let elsewhere = named(meant().filter(|rule| !holds(rule)));
        let other_services = rules.iter().filter(holds).filter(means_peer);
        let other_services = named(other_services.filter(|rule| !means_service(rule)));
        let other_peers = rules.iter().filter(holds).filter(means_service);
        let other_peers = named(other_peers.filter(|rule| !means_peer(rule)));
        self.step(
            "rules",
            matching.unwrap_or_else(|| "none means this peer and this service".into()),
        );
        let service = flow::service_name(self.flow.protocol, self.flow.destination_port);
        if let Some(rules) = other_services {
            self.step("", format!("this peer, but not {service}: {rules}"));
        }
        if let Some(rules) = other_peers {
            self.step("", format!("{service}, but not this peer: {rules}"));
        }
        if let Some(rules) = elsewhere {
            let vlan = vlans::name(vlan);
            self.step("", format!("peer and service, but not {vlan}: {rules}"));
        }
    }
}

/// The flow as engines judge it. It names an ICMP type but no code: code 0 is
/// meant, so that the built-in for code 4 of type 3 fits none.
#[must_use]
pub fn judged(flow: &Flow, direction: Direction) -> engine::Flow {
    let icmp = [ICMP, ICMPV6].contains(&flow.protocol);
    // A type is checked to be below 256 where it is read.
    let icmp_type = u8::try_from(flow.destination_port).unwrap_or(u8::MAX);
    let port = |port| if icmp { 0 } else { port };
    engine::Flow {
        id: String::new(),
        source: flow.source,
        destination: flow.destination,
        protocol: flow.protocol,
        source_port: port(flow.source_port),
        destination_port: port(flow.destination_port),
        icmp_type: if icmp { icmp_type } else { 0 },
        icmp_code: 0,
        vlan: (flow.vlan != vlans::UNTAGGED).then_some(flow.vlan),
        direction,
        expect: None,
    }
}

/// `dhcp-v4: what it lets pass`.
fn described(builtin: &str) -> String {
    let what = BUILTINS.iter().find(|row| row.1 == builtin);
    what.map_or_else(
        || builtin.to_owned(),
        |(_, name, what)| format!("{name}: {what}"),
    )
}

fn verdict(word: VerdictWord, rule: &PlanRule, mode: Mode) -> String {
    let limit = rule.rate;
    let rule = describe(rule);
    let verdict = match (word.is_allow(), word.is_explicit_deny()) {
        (true, _) => match word.is_limited().then_some(limit).flatten() {
            Some(rate) => format!("allowed up to {rate}, beyond that dropped: {rule}"),
            None => format!("allowed: {rule}"),
        },
        (false, true) => format!("denied by a deny rule: {rule}"),
        (false, false) if word.is_unadmitted() => {
            "denied: the VLAN is none of `interfaces.vlans`".to_owned()
        }
        (false, false) => {
            format!("denied: nothing allows it, and {rule} switches default deny on")
        }
    };
    let audit = if !word.is_allow() && mode == Mode::Audit {
        "; the mode is audit: it is reported, and passes"
    } else {
        ""
    };
    format!("{verdict}{audit}")
}

fn describe(rule: &PlanRule) -> String {
    place(&rule.rule, &rule.policy, &rule.origin)
}

fn place(rule: &str, policy: &str, origin: &str) -> String {
    let mut text = rule.to_owned();
    if !policy.is_empty() {
        text.push_str(&format!(" of {policy}"));
    }
    if !origin.is_empty() {
        text.push_str(&format!(" ({origin})"));
    }
    text
}

/// `allow ingress[0] of host (host.yaml:8), …`; `None` of none.
fn named<'a>(rules: impl Iterator<Item = &'a Rule>) -> Option<String> {
    let mut names: Vec<_> = rules
        .map(|rule| {
            let verdict = if rule.deny { "deny" } else { "allow" };
            let origin = &rule.origin;
            let place = place(&origin.rule, &origin.policy, &origin.place());
            let rate = rule.rate.map(|rate| format!(" up to {rate}"));
            let rate = rate.unwrap_or_default();
            let vlans = rule.vlans.as_ref().map(|set| format!(" in VLANs {set}"));
            format!("{verdict} {place}{rate}{}", vlans.unwrap_or_default())
        })
        .collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests;
