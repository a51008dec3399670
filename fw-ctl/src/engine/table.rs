//! The plan's matrix, looked up on the host. Built-ins are not in the matrix: whether one
//! fits is asked beside it, as in the datapath.

use super::{Engine, EngineError, Flow, Judgement};
use crate::compile::plan::Plan;
use crate::reference::builtin_name;

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
            if let Some(name) = builtin_name(self.plan.builtins, flow) {
                return Judgement::builtin(flow.direction, name);
            }
            let vlan = flow.vlan_id();
            let word = self
                .plan
                .lookup(flow.direction, vlan, flow.peer(), flow.service());
            Judgement::from_word(&self.plan, flow.direction, word)
        };
        Ok(flows.iter().map(judge).collect())
    }
}
