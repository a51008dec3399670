//! What must be remembered before a plan comes in force, so that nothing live is cut.
//!
//! A connection whose beginning the datapath has not seen is not in its table. Its packets
//! in the direction in which it began need nobody's memory, but its answers may: those of
//! the node's own connections under default deny of ingress, those to its clients under
//! default deny of egress.

use std::net::SocketAddr;

use fw_common::wire::{FlowKey, Origin, Phase};

use super::fate::first;
use super::{Judge, Traffic};
use crate::compile::plan::Mode;
use crate::datapath::seed::Seed;
use crate::sockets::{Began, Connection, State, TCP};

/// The open connections whose answers `new` would not let pass by themselves.
///
/// Not those that it drops anyway: who may not talk is not answered. In audit mode also
/// these, because there they go on, and their answers are not to be told as connections.
#[must_use]
pub fn seeds(new: &Judge<'_>, traffic: &Traffic<'_>) -> Vec<Seed> {
    let connections = traffic.sockets.connections.iter();
    connections
        .filter_map(|open| seed(new, traffic, open))
        .collect()
}

fn seed(new: &Judge<'_>, traffic: &Traffic<'_>, open: &Connection) -> Option<Seed> {
    let (local, remote) = (open.local, open.remote);
    if !traffic.is_judged(local.ip(), remote.ip()) {
        return None;
    }
    let vlan = traffic.places.vlan(local.ip());
    let first = |origin| first(origin, open.protocol, local, remote, vlan);
    let certain = open.began != Began::Unknown;
    let mut origins = origins(open.began).iter().copied();
    let allowed = origins
        .clone()
        .find(|origin| new.denies(&first(*origin)).is_none());
    let origin = match (allowed, new.mode) {
        (Some(origin), _) => origin,
        (None, Mode::Audit) if certain => origins.next()?,
        (None, _) => return None,
    };
    new.needs_memory(&first(origin)).then(|| Seed {
        key: key(open.protocol, local, remote),
        origin,
        phase: phase(open),
        certain,
    })
}

/// Who may have begun a connection.
pub(super) fn origins(began: Began) -> &'static [Origin] {
    match began {
        Began::Peer => &[Origin::Remote],
        Began::Node => &[Origin::Local],
        Began::Unknown => &[Origin::Remote, Origin::Local],
    }
}

pub(super) fn key(protocol: u8, local: SocketAddr, remote: SocketAddr) -> FlowKey {
    FlowKey {
        local: local.ip().into(),
        remote: remote.ip().into(),
        local_port: local.port(),
        remote_port: remote.port(),
        protocol,
        pad: [0; 3],
    }
}

fn phase(open: &Connection) -> Phase {
    match (open.protocol, open.state) {
        (TCP, State::Opening) => Phase::Opening,
        (TCP, State::Established) => Phase::Established,
        (TCP, State::Closing) => Phase::Closing,
        // Who takes the trouble to connect is answered as a rule.
        _ => Phase::Answered,
    }
}
