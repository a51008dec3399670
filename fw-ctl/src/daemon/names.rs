//! What events are named with. Replaced as a whole by every change, so that the
//! task that reads events never waits for the one that makes changes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use fw_common::wire::{EVENT_RULES, Event, EventKind, SlotOwner};

use crate::compile::plan::PlanRule;
use crate::observe::{
    Clock, Identify, Identity, LOST_OF, Loss, LostOf, Record, RuleName, WORLD, resolve,
};

/// Plans whose rules are remembered: the one in force, and the one before it,
/// whose last events may still be on their way.
const PLANS: usize = 2;

/// Names of rules, addresses and interfaces.
#[derive(Clone)]
pub struct Names {
    /// `cluster/node`.
    pub node: Arc<str>,
    /// Labels of the node as `key=value`, sorted.
    pub node_labels: Arc<[String]>,
    /// Who addresses are.
    pub identities: Arc<dyn Identify + Send + Sync>,
    /// Names of links by index.
    pub links: BTreeMap<u32, Arc<str>>,
    plans: Vec<(u64, Arc<Vec<Arc<RuleName>>>)>,
}

impl Names {
    /// Knows nobody yet.
    #[must_use]
    pub fn new(node: String) -> Self {
        Self {
            node: node.into(),
            node_labels: Arc::default(),
            identities: Arc::new(Nobody),
            links: BTreeMap::new(),
            plans: Vec::new(),
        }
    }

    /// Remembers the rules of plan `number`, and forgets those of the oldest.
    pub fn add_plan(&mut self, number: u64, rules: &[PlanRule]) {
        let rules = rules.iter().map(|rule| Arc::new(rule.into())).collect();
        self.plans.retain(|plan| plan.0 != number);
        self.plans.insert(0, (number, Arc::new(rules)));
        self.plans.truncate(PLANS);
    }

    /// Whether it is known what judges.
    #[must_use]
    pub fn has_plan(&self) -> bool {
        !self.plans.is_empty()
    }

    /// The rules of plan `number`.
    #[must_use]
    pub fn rules(&self, number: u64) -> Option<&Arc<Vec<Arc<RuleName>>>> {
        self.plans
            .iter()
            .find(|plan| plan.0 == number)
            .map(|plan| &plan.1)
    }

    /// Of which rules and reasons the most of a loss was.
    #[must_use]
    pub fn lost_of(&self, loss: &Loss) -> Vec<LostOf> {
        let named = loss.slots.iter().take(LOST_OF);
        named
            .map(|((kind, slot), count)| {
                let (reason, rule) = match SlotOwner::of(*slot) {
                    Some(SlotOwner::Reason(_, reason)) => (Some(reason as u8), None),
                    Some(SlotOwner::Rules { generation, first }) => {
                        let plan = loss.plans.get(generation as usize).copied();
                        (None, plan.and_then(|plan| self.only_rule(plan, first)))
                    }
                    None => (None, None),
                };
                LostOf {
                    count: *count,
                    allowed: *kind == EventKind::Allowed,
                    reason,
                    rule,
                }
            })
            .collect()
    }

    /// The rule of a slot of events, if the plan has no other of the same slot.
    fn only_rule(&self, plan: u64, first: u16) -> Option<Arc<RuleName>> {
        let rules = self.rules(plan)?.iter();
        let mut rules = rules.skip(first.into()).step_by(EVENT_RULES as usize);
        let rule = rules.next()?;
        rules.next().is_none().then(|| Arc::clone(rule))
    }

    /// Names an event.
    #[must_use]
    pub fn record(&self, event: &Event, clock: Clock) -> Record {
        let rule = self
            .rules(event.plan)
            .and_then(|rules| rules.get(usize::from(event.rule)));
        resolve(
            event,
            (&self.node, &self.node_labels),
            clock,
            self.identities.as_ref(),
            self.links.get(&event.ifindex),
            rule,
        )
    }
}

/// Before the first inventory everybody is the world.
struct Nobody;

impl Identify for Nobody {
    fn identity(&self, _: IpAddr) -> Arc<Identity> {
        Arc::new(Identity {
            number: WORLD,
            labels: vec!["reserved:world".into()],
        })
    }

    fn pod(&self, _: IpAddr) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use fw_common::wire::{Direction, DropReason, reason_slot, rule_slot};

    use super::*;

    fn rule(policy: &str) -> PlanRule {
        PlanRule {
            origin: "a.yaml:1".into(),
            direction: None,
            ..PlanRule::allowing(policy, "ingress[0]")
        }
    }

    #[test]
    fn a_loss_is_named_by_rule_or_reason_where_these_are_known() {
        let plan = |rules: u16| {
            let rules = (0..rules).map(|id| rule(&format!("rule{id}")));
            rules.collect::<Vec<_>>()
        };
        let mut names = Names::new("default/n".into());
        names.add_plan(6, &plan(10));
        names.add_plan(7, &plan(600));
        let denied = |slot| (EventKind::Denied, slot);
        let loss = Loss {
            count: 0,
            cpu: None,
            full: 0,
            slots: vec![
                (denied(rule_slot(0, 3)), 50),
                ((EventKind::Allowed, rule_slot(1, 99)), 40),
                // One of two rules; one that no plan has; and one without a rule.
                (denied(rule_slot(1, 7)), 30),
                (denied(rule_slot(0, 11)), 20),
                (
                    denied(reason_slot(Direction::Egress, DropReason::Invalid)),
                    10,
                ),
            ],
            plans: vec![6, 7],
        };
        let told = |loss: &Loss| {
            let of = names.lost_of(loss).into_iter();
            let told = of.map(|of| {
                let rule = of.rule.map(|rule| rule.policy.clone());
                (of.count, of.allowed, of.reason, rule)
            });
            told.collect::<Vec<_>>()
        };
        let invalid = Some(DropReason::Invalid as u8);
        let expected = vec![
            (50, false, None, Some("rule3".to_owned())),
            (40, true, None, Some("rule99".to_owned())),
            (30, false, None, None),
            (20, false, None, None),
            (10, false, invalid, None),
        ];
        assert_eq!(told(&loss), expected);
        let replaced = Loss {
            plans: vec![0, 0],
            ..loss.clone()
        };
        assert!(told(&replaced).iter().all(|of| of.3.is_none()));
        let many = Loss {
            slots: vec![(denied(rule_slot(0, 3)), 1); 100],
            ..loss
        };
        assert_eq!(told(&many).len(), LOST_OF);
    }

    #[test]
    fn an_event_is_named_by_the_plan_that_judged() {
        let mut names = Names::new("default/n".into());
        for number in 1..=3_u64 {
            names.add_plan(number, &[rule(&format!("plan{number}"))]);
        }
        names.links.insert(2, "eth0".into());
        let policy = |plan| {
            let event = Event {
                plan,
                ifindex: 2,
                ..Event::default()
            };
            let record = names.record(&event, Clock::now());
            assert_eq!(&*record.interface, "eth0");
            record.rule.map(|rule| rule.policy.clone())
        };
        assert_eq!(policy(3).as_deref(), Some("plan3"));
        assert_eq!(policy(2).as_deref(), Some("plan2"));
        assert_eq!(policy(1), None);
    }
}
