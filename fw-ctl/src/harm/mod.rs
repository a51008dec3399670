//! Look before the leap: what a change would cut of what passes now.
//!
//! A pure function of the plan in force, the plan that is to replace it, and what is known
//! of the node's traffic: its open sockets, the connections that the datapath remembers,
//! and the flows that were reported lately. A connection is judged as the datapath does:
//! by the policy of the direction in which it began, at every packet; what answers it
//! passes as long as it is remembered, so nothing is cut for its answers.
//!
//! - `fate`: how a plan judges a connection that is there already.
//! - `places`: where the node's addresses are: in which VLAN, and whether filtered.
//! - `seeds`: what must be remembered before a plan comes in force, so that answers pass.
//! - `cuts`: what would be cut, grouped.
//! - `report`: that in words, and as data.
//! - `audited`: what audit mode let pass and would have dropped.

mod audited;
mod cuts;
mod fate;
mod places;
mod report;
mod seeds;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use fw_common::wire::Direction;
use serde::{Deserialize, Serialize};

use crate::datapath::seed::Remembered;
use crate::engine::Flow;
use crate::netlink::LocalAddresses;
use crate::policy::rules::{ICMP, ICMPV6};
use crate::sockets::Sockets;
pub use audited::{Audited, AuditedGroup, audited};
pub use cuts::harm;
pub use fate::Judge;
pub use places::Places;
pub use report::{Because, Cut, Harm, Kind, Way};
pub(crate) use report::{ago, protocol};
pub use seeds::seeds;

/// Traffic that passed within so many seconds counts as passing now: probes and scrapes
/// come every few minutes at most.
pub const LATELY: u64 = 600;

/// The SSH session in which the operator sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshSession {
    /// The operator's end.
    pub client: SocketAddr,
    /// The end of sshd.
    pub server: SocketAddr,
}

/// New connections of one peer to one service, as events told of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which way they went.
    pub direction: Direction,
    /// The node's address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port; of ICMP the type.
    pub service: u16,
    /// Id of the VLAN, 0 for none.
    pub vlan: u16,
    /// Slot of the [`fw_common::wire::DropReason`] for which it would have been dropped.
    pub reason: u8,
    /// How often it was told.
    pub count: u64,
    /// Seconds since the last time.
    pub age: u64,
}

impl Seen {
    /// The first packet, from any port.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let (source, destination) = match self.direction {
            Direction::Ingress => (self.remote, self.local),
            Direction::Egress => (self.local, self.remote),
        };
        let icmp = [ICMP, ICMPV6].contains(&self.protocol);
        Flow {
            id: String::new(),
            source,
            destination,
            protocol: self.protocol,
            source_port: 0,
            destination_port: if icmp { 0 } else { self.service },
            icmp_type: if icmp { self.service as u8 } else { 0 },
            icmp_code: 0,
            vlan: Some(self.vlan),
            direction: self.direction,
            expect: None,
        }
    }
}

/// What is known of the node's traffic.
#[derive(Clone, Copy)]
pub struct Traffic<'a> {
    /// The node's addresses.
    pub local: &'a LocalAddresses,
    /// Where they are.
    pub places: &'a Places,
    /// What is open.
    pub sockets: &'a Sockets,
    /// What the datapath remembers.
    pub remembered: &'a [Remembered],
    /// What was allowed lately.
    pub seen: &'a [Seen],
    /// The ports of sshd.
    pub ssh_ports: &'a BTreeSet<u16>,
    /// Who asks.
    pub asker: Option<SshSession>,
}

impl Traffic<'_> {
    /// Whether packets between these addresses meet the filter.
    fn is_judged(&self, local: IpAddr, remote: IpAddr) -> bool {
        self.local.contains(&local)
            && !self.local.contains(&remote)
            && !remote.is_loopback()
            && self.places.is_filtered(local)
    }
}
