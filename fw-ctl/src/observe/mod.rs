//! From what the datapath reports to what people and tools read.
//!
//! The daemon turns an event into a [`Record`]: names in place of numbers, looked
//! up in the plan that judged. Records travel over the control socket; the client
//! renders them as `cilium monitor` does ([`text`]) or as Hubble's JSON ([`json`]).

mod agent;
pub mod agent_lines;
mod clock;
pub mod filter;
mod flow;
mod grouped;
mod history;
mod icmp;
mod identity;
pub mod json;
pub mod lines;
pub mod local;
mod lost;
pub mod lost_lines;
mod query;
mod record;
mod tally;
mod telling;
pub mod text;
mod unreported;

pub use agent::{AgentChange, AgentEvent, AgentEvents, PolicyChange};
pub use clock::{Clock, now, rfc3339};
pub use flow::{Flow, Message};
pub use grouped::{Grouped, in_groups};
pub use history::{Extent, Happened, Observed, Seen};
pub use icmp::type_name as icmp_type_name;
pub use identity::{HOST, Identify, Identity, Numbered, WORLD};
pub use lost::{LOST_OF, Lost, LostOf, LostSource};
pub use query::{Query, Span};
pub use record::{Endpoint, Record, RuleName, Told, resolve};
pub use tally::{Kind, Tally};
pub use telling::{Next, Telling};
pub use unreported::{Loss, Losses, Unreported};

use std::sync::Arc;

use crate::capture::Captures;

/// Everything that somebody may listen to.
#[derive(Clone)]
pub struct Events {
    /// Packets.
    pub observed: Arc<Observed>,
    /// The daemon.
    pub agent: Arc<AgentEvents>,
    /// Packets with their bytes.
    pub captures: Arc<Captures>,
}
