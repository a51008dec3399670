//! The node's links and addresses: what there is ([`Network`]), which links are
//! filtered ([`plan`]), which addresses are the node's ([`LocalAddresses`]), and
//! when it changes ([`Watcher`]).

mod local;
mod model;
mod plan;
mod routes;
mod watch;

pub use local::LocalAddresses;
pub use model::{Address, Framing, Link, Network, Offloads};
pub use plan::{Cause, Choice, Demand, Wish, missing, plan};
pub use watch::{NetlinkError, Watcher};
