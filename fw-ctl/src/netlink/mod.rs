//! The node's links and addresses: what there is ([`Network`]), which links are
//! filtered ([`choose`]), and when it changes ([`Watcher`]).

mod choose;
mod model;
mod watch;

pub use choose::{Choice, choose};
pub use model::{Address, Link, Network};
pub use watch::{NetlinkError, Watcher};
