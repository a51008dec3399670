//! What the node has open: its TCP connections and connected UDP sockets, and who began
//! each of them, as the kernel tells over netlink (`sock_diag(7)`).
//!
//! Of the network namespace of the calling thread. Connections of containers with a
//! namespace of their own are not among them: what of these concerns the node is in the
//! datapath's own table of connections.
//!
//! - `wire`: requests and answers, as bytes.
//! - `dump`: the conversation with the kernel.
//! - `origin`: who began a connection.

mod dump;
mod origin;
mod wire;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use dump::{listening, open, servers};
pub use origin::{Ephemeral, Listeners};
pub use wire::Row;

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// Who began a connection, as far as sockets tell. The kernel does not keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Began {
    /// The peer: somebody listens on the local port. Or nobody does any more, but it is
    /// the peer's port that a kernel has chosen.
    Peer,
    /// The node: nobody listens there, and the kernel has chosen the port.
    Node,
    /// Nobody listens there, and no kernel has chosen any of the ports (NFS, VPNs).
    Unknown,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TCP whose handshake is not over.
    Opening,
    /// Data may flow, at least one way; and UDP.
    Established,
    /// TCP of which both sides have sent their last byte.
    Closing,
}

/// One connection with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// The node's end; an IPv4 address never as a mapped one.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// How far it is.
    pub state: State,
    /// Who began it.
    pub began: Began,
}

/// Everything that is open at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Connections, IPv4 before IPv6 and TCP before UDP.
    pub connections: Vec<Connection>,
    /// What could not be learnt, and why, a line each.
    pub notes: Vec<String>,
}
