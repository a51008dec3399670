//! From what the datapath reports to what people and tools read.
//!
//! The daemon turns an event into a [`Record`]: names in place of numbers, looked
//! up in the plan that judged. Records travel over the control socket; the client
//! renders them as `cilium monitor` does ([`text`]) or as Hubble's JSON ([`json`]).

mod clock;
pub mod filter;
mod flow;
mod history;
mod icmp;
mod identity;
pub mod json;
pub mod lines;
pub mod local;
mod record;
mod tally;
pub mod text;

pub use clock::{Clock, now};
pub use flow::{Flow, Message};
pub use history::{Extent, Observed, Query};
pub use icmp::type_name as icmp_type_name;
pub use identity::{HOST, Identify, Identity, Numbered, WORLD};
pub use record::{Endpoint, Record, RuleName, Told, resolve};
pub use tally::{Kind, Tally};
