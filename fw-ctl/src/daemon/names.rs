//! What events are named with. Replaced as a whole by every change, so that the
//! task that reads events never waits for the one that makes changes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use fw_common::wire::Event;

use crate::compile::plan::PlanRule;
use crate::observe::{Clock, Identify, Identity, Record, RuleName, WORLD, resolve};

/// Plans whose rules are remembered: the one in force, and the one before it,
/// whose last events may still be on their way.
const PLANS: usize = 2;

/// Names of rules, addresses and interfaces.
#[derive(Clone)]
pub struct Names {
    /// `cluster/node`.
    pub node: Arc<str>,
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

    /// The rules of plan `number`.
    #[must_use]
    pub fn rules(&self, number: u64) -> Option<&Arc<Vec<Arc<RuleName>>>> {
        self.plans
            .iter()
            .find(|plan| plan.0 == number)
            .map(|plan| &plan.1)
    }

    /// Names an event.
    #[must_use]
    pub fn record(&self, event: &Event, clock: Clock) -> Record {
        let rule = self
            .rules(event.plan)
            .and_then(|rules| rules.get(usize::from(event.rule)));
        resolve(
            event,
            &self.node,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(policy: &str) -> PlanRule {
        PlanRule {
            policy: policy.into(),
            rule: "ingress[0]".into(),
            origin: "a.yaml:1".into(),
            direction: None,
            allow: true,
            match_type: "all",
            rate: None,
            vlans: None,
        }
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
