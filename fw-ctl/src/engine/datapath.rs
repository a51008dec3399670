//! The engines that show real frames to the datapath: its code on the host
//! (`model`), or the loaded programs (`xdp`, `tc`).

use std::net::IpAddr;

use fw_common::wire::{Counter, Direction, DropReason, VerdictWord};

use super::{Engine, EngineError, Flow, Judgement};
use crate::compile::plan::Plan;
use crate::datapath::{DatapathError, Hook, ModelRun, Outcome, TestRun};
use crate::reference::builtin_name;

/// Judges frames by a plan.
pub struct Datapath {
    place: Place,
    plan: Plan,
    /// The programs for ingress and egress.
    hooks: [Hook; 2],
    /// The address that is the node's for the last flow.
    local: Option<IpAddr>,
}

/// Where the datapath's code runs.
enum Place {
    Model(Box<ModelRun>),
    Kernel(Box<TestRun>),
}

impl Datapath {
    /// The datapath's code on the host.
    #[must_use]
    pub fn model(plan: Plan) -> Self {
        let mut run = ModelRun::default();
        run.install(&plan);
        Self {
            place: Place::Model(Box::new(run)),
            plan,
            hooks: [Hook::Xdp, Hook::TcEgress],
            local: None,
        }
    }

    /// The loaded programs; `ingress` says by which of them ingress is judged.
    ///
    /// # Errors
    /// They cannot be loaded here, or the plan does not fit.
    pub fn kernel(plan: Plan, ingress: Hook) -> Result<Self, EngineError> {
        let mut run = TestRun::new()?;
        run.install(&plan)?;
        Ok(Self {
            place: Place::Kernel(Box::new(run)),
            plan,
            hooks: [ingress, Hook::TcEgress],
            local: None,
        })
    }

    /// Judges by another plan from now on; programs stay loaded.
    ///
    /// # Errors
    /// It does not fit.
    pub fn replace_plan(&mut self, plan: Plan) -> Result<(), EngineError> {
        match &mut self.place {
            Place::Model(run) => run.install(&plan),
            Place::Kernel(run) => run.install(&plan)?,
        }
        self.plan = plan;
        Ok(())
    }

    fn judge_one(&mut self, flow: &Flow) -> Result<Judgement, EngineError> {
        let local = match flow.direction {
            Direction::Ingress => flow.destination,
            Direction::Egress => flow.source,
        };
        let outcome = self.run(flow, local)?;
        self.judgement(flow, &outcome)
    }

    /// Runs the flow as the first packet of its connection.
    fn run(&mut self, flow: &Flow, local: IpAddr) -> Result<Outcome, EngineError> {
        let frame = flow.packet().frame().ok_or_else(|| EngineError {
            message: format!("flow {}: its addresses are of two families", flow.id),
            exit: 3,
        })?;
        let hook = self.hooks[flow.direction as usize];
        let moved = self.local.replace(local) != Some(local);
        match &mut self.place {
            Place::Model(run) => {
                if moved {
                    run.set_local(&[local].into());
                }
                run.forget();
                Ok(run.run(hook, &frame))
            }
            Place::Kernel(run) => {
                if moved {
                    run.set_local(&[local].into())?;
                }
                run.forget()?;
                Ok(run.run(hook, &frame)?)
            }
        }
    }

    fn judgement(&self, flow: &Flow, outcome: &Outcome) -> Result<Judgement, EngineError> {
        let unexpected = || EngineError {
            message: format!(
                "flow {}: the datapath did not judge it by policy ({}); \
                 try: --engine reference, and report this as a bug",
                flow.id,
                outcome
                    .moved
                    .iter()
                    .map(|(_, counter, _)| counter.name())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            exit: 5,
        };
        let [(_, counter, _)] = outcome.moved.as_slice() else {
            return Err(unexpected());
        };
        let word = match (counter, outcome.rule()) {
            (Counter::Builtin | Counter::Multicast, _) => {
                let name = builtin_name(self.plan.builtins, flow).ok_or_else(unexpected)?;
                return Ok(Judgement::builtin(flow.direction, name));
            }
            (Counter::Allowed, Some(rule)) => VerdictWord::allow(rule),
            (Counter::Failsafe, Some(rule)) => VerdictWord::failsafe(rule),
            (
                Counter::Dropped(DropReason::DefaultDeny)
                | Counter::Audited(DropReason::DefaultDeny),
                Some(rule),
            ) => VerdictWord::default_deny(rule),
            (
                Counter::Dropped(DropReason::DenyRule) | Counter::Audited(DropReason::DenyRule),
                Some(rule),
            ) => VerdictWord::deny(rule),
            (
                Counter::Dropped(DropReason::VlanNotAdmitted)
                | Counter::Audited(DropReason::VlanNotAdmitted),
                Some(rule),
            ) => VerdictWord::unadmitted(rule),
            _ => return Err(unexpected()),
        };
        Ok(Judgement::from_word(&self.plan, flow.direction, word))
    }
}

impl Engine for Datapath {
    fn judge(&mut self, flows: &[Flow]) -> Result<Vec<Judgement>, EngineError> {
        flows.iter().map(|flow| self.judge_one(flow)).collect()
    }
}

impl From<DatapathError> for EngineError {
    fn from(error: DatapathError) -> Self {
        Self {
            message: error.to_string(),
            exit: error.exit_code(),
        }
    }
}
