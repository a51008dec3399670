//! The slow engine: reads the policy text anew for every flow.
//!
//! It knows nothing of flat rules and plans, so that what it says about a flow
//! can be held against what the compiled tables say. The order of decisions is
//! that of Cilium's `pkg/policy` (`computePolicyEnforcementAndRules`, then deny
//! over allow over default deny).

mod allowance;
mod item;

use std::net::IpAddr;

use fw_common::wire::Direction;

use crate::compile::Enforcement;
use crate::engine::{Context, Engine, EngineError, Flow, Judgement, Reason};
use crate::policy::schema::{Item, PolicyDocument, Spec, Subject};
use item::Peer;

pub use allowance::builtin_name;

/// Judges flows by the documents themselves.
pub struct Reference {
    context: Context,
}

/// One item with the policy that it stands in.
#[derive(Clone, Copy)]
struct Place<'a> {
    document: &'a PolicyDocument,
    item: &'a Item,
}

impl Reference {
    /// An engine for these policies.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context }
    }

    /// Judges one flow.
    #[must_use]
    pub fn judge_one(&self, flow: &Flow) -> Judgement {
        let options = &self.context.options;
        if let Some(judgement) = allowance::judge(options, flow) {
            return judgement;
        }
        let vlan = flow.vlan_id();
        if options
            .vlans
            .as_ref()
            .is_some_and(|set| !set.contains(vlan))
        {
            return not_admitted(flow.direction);
        }
        if options.enforcement == Enforcement::Never {
            return no_policy(flow.direction);
        }
        let specs = self.selecting_specs(flow.direction, vlan);
        let always = options.enforcement == Enforcement::Always;
        if specs.is_empty() && !always {
            return no_policy(flow.direction);
        }
        let (mut allows, mut denies, mut switch) = (None, None, None);
        // What one rule allows without a limit, another does not take back.
        let mut limited = None;
        for (document, spec) in &specs {
            let (allow, deny, default_deny) = lists(spec, flow.direction);
            let allows = match document.rate {
                Some(_) => &mut limited,
                None => &mut allows,
            };
            for (list, decides) in [(allow, allows), (deny, &mut denies)] {
                for item in list {
                    let place = Place { document, item };
                    if default_deny != Some(false) && switch.is_none() {
                        switch = Some(place);
                    }
                    if decides.is_none() && self.item_matches(item, flow) {
                        *decides = Some(place);
                    }
                }
            }
        }
        let first = specs.first().and_then(|(document, spec)| {
            let (allow, deny, _) = lists(spec, flow.direction);
            let item = allow.first().or_else(|| deny.first())?;
            Some(Place { document, item })
        });
        match (denies, allows.or(limited), switch, first) {
            (Some(place), ..) => judgement(flow, Reason::DenyRule, place),
            (None, Some(place), ..) => judgement(flow, Reason::AllowRule, place),
            (None, None, Some(place), _) => judgement(flow, Reason::DefaultDeny, place),
            (None, None, None, Some(place)) if !always => Judgement {
                rule: "default-allow".to_owned(),
                ..judgement(flow, Reason::DefaultAllow, place)
            },
            _ => Judgement {
                direction: flow.direction,
                allow: false,
                reason: Reason::DefaultDeny,
                policy: String::new(),
                rule: "default-deny".to_owned(),
                origin: String::new(),
            },
        }
    }

    /// Specs that select the node, hold in the VLAN and have an item for the direction.
    fn selecting_specs(&self, direction: Direction, vlan: u16) -> Vec<(&PolicyDocument, &Spec)> {
        let mut found = Vec::new();
        for document in &self.context.documents {
            let vlans = document.vlans.as_ref();
            if vlans.is_some_and(|vlans| !vlans.value.contains(vlan)) {
                continue;
            }
            for spec in &document.specs {
                let Subject::Nodes(selector) = &spec.subject else {
                    continue;
                };
                let (allow, deny, _) = lists(spec, direction);
                let has_items = !allow.is_empty() || !deny.is_empty();
                if has_items && selector.matches(&self.context.node) {
                    found.push((document, spec));
                }
            }
        }
        found
    }

    fn item_matches(&self, item: &Item, flow: &Flow) -> bool {
        let address: IpAddr = flow.peer();
        let peer = Peer {
            address,
            labels: self.context.identities.of(address),
            groups: &self.context.groups,
            cluster: &self.context.cluster,
            cidr_match_mode: self.context.options.cidr_match_mode,
        };
        item::matches(item, &peer, flow)
    }
}

impl Engine for Reference {
    fn judge(&mut self, flows: &[Flow]) -> Result<Vec<Judgement>, EngineError> {
        Ok(flows.iter().map(|flow| self.judge_one(flow)).collect())
    }
}

/// The allow list, the deny list and the default-deny switch of a direction.
fn lists(spec: &Spec, direction: Direction) -> (&[Item], &[Item], Option<bool>) {
    match direction {
        Direction::Ingress => (&spec.ingress, &spec.ingress_deny, spec.default_deny_ingress),
        Direction::Egress => (&spec.egress, &spec.egress_deny, spec.default_deny_egress),
    }
}

fn not_admitted(direction: Direction) -> Judgement {
    Judgement {
        direction,
        allow: false,
        reason: Reason::VlanNotAdmitted,
        policy: String::new(),
        rule: Reason::VlanNotAdmitted.name().to_owned(),
        origin: String::new(),
    }
}

fn no_policy(direction: Direction) -> Judgement {
    Judgement {
        direction,
        allow: true,
        reason: Reason::NoPolicy,
        policy: String::new(),
        rule: "no-policy".to_owned(),
        origin: String::new(),
    }
}

fn judgement(flow: &Flow, reason: Reason, place: Place<'_>) -> Judgement {
    let path = &place.item.path;
    Judgement {
        direction: flow.direction,
        allow: matches!(reason, Reason::AllowRule | Reason::DefaultAllow),
        reason,
        policy: place.document.name.clone(),
        rule: path.strip_prefix("spec.").unwrap_or(path).to_owned(),
        origin: format!("{}:{}", place.document.source.name, place.item.span.line),
    }
}
