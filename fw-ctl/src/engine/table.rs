//! The plan's matrix, looked up on the host. Built-ins are not in the matrix: this
//! engine judges as if all of them were off.

use super::{Engine, EngineError, Flow, Judgement};
use crate::compile::plan::Plan;

/// Looks flows up in a plan.
pub struct Table {
    plan: Plan,
}

impl Table {
    /// An engine for one plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self { plan }
    }
}

impl Engine for Table {
    fn judge(&mut self, flows: &[Flow]) -> Result<Vec<Judgement>, EngineError> {
        let judge = |flow: &Flow| {
            let vlan = flow.vlan_id();
            let word = self
                .plan
                .lookup(flow.direction, vlan, flow.peer(), flow.service());
            Judgement::from_word(&self.plan, flow.direction, word)
        };
        Ok(flows.iter().map(judge).collect())
    }
}
