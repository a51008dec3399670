//! Who judges flows: a slow reading of the policy text, or the compiled tables in
//! one of the places where they run. All must agree on every flow.

mod context;
mod datapath;
mod flow;
mod flow_lines;
mod judgement;
mod protocol;
mod table;

pub use context::Context;
pub use datapath::Datapath;
pub use flow::Flow;
pub use flow_lines::{FlowError, read_flows};
pub use judgement::{Judgement, Reason};
pub use protocol::{check_protocol, protocol_name, protocol_number};
pub use table::Table;

use crate::compile::CapacityError;
use crate::datapath::Hook;
use crate::reference::Reference;

/// Something that judges new connections.
pub trait Engine {
    /// Judges each flow, in the order given.
    ///
    /// # Errors
    /// When the engine cannot run here, in words for the operator.
    fn judge(&mut self, flows: &[Flow]) -> Result<Vec<Judgement>, EngineError>;
}

/// An engine cannot run, or not on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What failed, why, and what to try.
    pub message: String,
    /// The exit code that fits (INTERFACE: 3 invalid, 5 unsupported).
    pub exit: u8,
}

/// The engines, by the name that `--engine` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineName {
    /// A slow, plain reading of the policy text
    Reference,
    /// The compiled tables, judged by the datapath's code on this host
    Model,
    /// The loaded programs: XDP for ingress, TC for egress (needs root)
    Xdp,
    /// The loaded programs: TC for both directions (needs root)
    Tc,
}

/// Makes an engine ready.
///
/// # Errors
/// When the policies do not compile, or the engine does not run here.
pub fn engine(name: EngineName, context: Context) -> Result<Box<dyn Engine>, EngineError> {
    match name {
        EngineName::Reference => Ok(Box::new(Reference::new(context))),
        EngineName::Model => Ok(Box::new(Datapath::model(context.plan()?))),
        EngineName::Xdp => Ok(Box::new(Datapath::kernel(context.plan()?, Hook::Xdp)?)),
        EngineName::Tc => Ok(Box::new(Datapath::kernel(
            context.plan()?,
            Hook::TcIngress,
        )?)),
    }
}

impl From<CapacityError> for EngineError {
    /// Refused for safety: half of a plan is not enforced.
    fn from(error: CapacityError) -> Self {
        Self {
            message: error.to_string(),
            exit: 4,
        }
    }
}
