//! The node's links and addresses: what there is ([`Network`]), which links are
//! filtered ([`choose`]), which addresses are the node's ([`LocalAddresses`]), and
//! when it changes ([`Watcher`]).

mod choose;
mod local;
mod model;
mod routes;
mod watch;

pub use choose::{Choice, choose, missing};
pub use local::LocalAddresses;
pub use model::{Address, Link, Network};
pub use watch::{NetlinkError, Watcher};
