//! Connections, remembered only where a verdict depends on it.
//!
//! A packet that policy allows leaves a trace only if its reply would be denied
//! by the policy of the other direction. So a busy server's replies never create
//! state, and nobody fills the table from outside while ingress is what is
//! filtered.

use super::case::Case;
use super::classify::{self, Service};
use super::flow::Flow;
use super::tables::Tables;
use crate::packet::Packet;
use crate::packet::icmp::{self, Quoted};
use crate::packet::ip::Addresses;
use crate::packet::transport::{ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP};
use crate::wire::{Address, Direction, FlowKey, FlowState, GenerationFlags, L4, Origin, Phase};

/// Lifetimes in seconds, by [`Phase`]: Cilium's defaults.
const LIFETIME: [u32; 3] = [60, 8_000, 10];
const LONGEST: i32 = LIFETIME[1] as i32;

/// Remembers the connection of a packet that may pass, if policy would deny its reply,
/// or because its peer is banned: the ban would.
#[inline(always)]
pub(super) fn remember<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    banned: bool,
) {
    // Decided here, so that an unfiltered direction costs one test of a bit.
    let back = GenerationFlags::filters(case.direction().reverse());
    if banned || case.view.plan.flags & back != 0 && denies_reply(case, flow) {
        touch(case, flow);
    }
}

/// Remembers the connection that the packet belongs to, or that it goes on. True
/// if it was not remembered before.
#[inline(never)]
pub(super) fn touch<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
) -> bool {
    let origin = match case.direction() {
        Direction::Ingress => Origin::Remote,
        Direction::Egress => Origin::Local,
    };
    let now = case.tables.now(case.view);
    match live(case.tables, &flow.key, now) {
        // A new connection takes over the five-tuple of an old one.
        Some(state) if state.origin == origin as u8 || !flow.l4.is_pure_syn() => {
            refresh(case.tables, flow, state, now);
            false
        }
        _ => {
            if may_begin(case.direction(), flow) {
                let first = flow.l4.is_pure_syn() || flow.l4.protocol != TCP;
                let phase = if first {
                    Phase::New
                } else {
                    Phase::Established
                };
                remember_as(case.tables, &flow.key, state(now, origin, phase));
            }
            true
        }
    }
}

/// Whether a packet that policy denies belongs to a connection of the other
/// direction; if so the connection is kept alive.
///
/// What cannot be a reply is found out here, without a call, so that a flood of it
/// costs next to nothing: a pure SYN, an ICMP message that answers nothing, and what
/// goes to a port from which the node has no connection.
#[inline(always)]
pub(super) fn is_reply<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
) -> bool {
    let l4 = &flow.l4;
    if l4.is_pure_syn() || is_icmp(l4.protocol) && !icmp::is_reply(l4.protocol, l4.icmp_type) {
        return false;
    }
    if let Direction::Ingress = case.direction() {
        let seen = case.tables.port_seen(flow.key.local_port);
        // Signed: in the first second of the clock, `seen` is ahead of it.
        let idle = case.tables.now(case.view).wrapping_sub(seen) as i32;
        if seen == 0 || idle > LONGEST {
            return false;
        }
    }
    is_known_reply(case, flow)
}

/// As [`is_reply`], by the connections.
#[inline(never)]
fn is_known_reply<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
) -> bool {
    let now = case.tables.now(case.view);
    let Some(state) = live(case.tables, &flow.key, now) else {
        return false;
    };
    let wanted = match case.direction() {
        Direction::Ingress => Origin::Local,
        Direction::Egress => Origin::Remote,
    };
    if state.origin != wanted as u8 {
        return false;
    }
    refresh(case.tables, flow, state, now);
    true
}

/// Whether an ICMP error is about a packet that went the other way and may be
/// answered: it is remembered, or its replies need no memory.
///
/// In steps that are functions of their own in the kernel: the stack is shared.
#[inline(always)]
pub(super) fn is_related<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    quoted: &Quoted,
) -> bool {
    quotes_the_node(case, quoted) && (quotes_known(case, quoted) || quotes_answerable(case, quoted))
}

/// The node's address and the peer's in a packet that went the other way.
#[inline(always)]
const fn sides(direction: Direction, quoted: &Quoted) -> (&Address, &Address) {
    let Addresses {
        source,
        destination,
    } = &quoted.addresses;
    match direction {
        Direction::Ingress => (source, destination),
        Direction::Egress => (destination, source),
    }
}

#[inline(never)]
fn quotes_the_node<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    quoted: &Quoted,
) -> bool {
    let (local, _) = sides(case.direction(), quoted);
    case.tables.is_local(case.view, local)
}

#[inline(never)]
fn quotes_known<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    quoted: &Quoted,
) -> bool {
    let (local, remote) = sides(case.direction(), quoted);
    let l4 = &quoted.l4;
    let (local_port, remote_port) = match case.direction() {
        _ if is_icmp(l4.protocol) => (l4.source, 0),
        Direction::Ingress => (l4.source, l4.destination),
        Direction::Egress => (l4.destination, l4.source),
    };
    let key = FlowKey {
        local: *local,
        remote: *remote,
        local_port,
        remote_port,
        protocol: l4.protocol,
        pad: [0; 3],
    };
    live(case.tables, &key, case.tables.now(case.view)).is_some()
}

#[inline(never)]
fn quotes_answerable<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    quoted: &Quoted,
) -> bool {
    let Some(reply) = reply_to(&quoted.l4) else {
        return false;
    };
    let (_, remote) = sides(case.direction(), quoted);
    let class = classify::peer_class(case.tables, case.view, case.family, remote);
    classify::verdict(case.tables, case.view, case.direction(), class, reply).is_allow()
}

/// Whether policy would deny the reply to this packet.
#[inline(never)]
fn denies_reply<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
) -> bool {
    let Some(reply) = reply_to(&flow.l4) else {
        return false;
    };
    let back = case.direction().reverse();
    !classify::verdict(case.tables, case.view, back, case.class, reply).is_allow()
}

/// What the reply to a packet looks like to policy; `None` if it has no reply.
#[inline(always)]
const fn reply_to(l4: &L4) -> Option<Service> {
    let icmp_type = if is_icmp(l4.protocol) {
        match icmp::reply_type(l4.protocol, l4.icmp_type) {
            Some(kind) => kind,
            None => return None,
        }
    } else {
        0
    };
    Some(Service {
        protocol: l4.protocol,
        icmp_type,
        port: l4.source,
    })
}

/// Whether this packet can be the first that is seen of a connection which its
/// sender's side began.
///
/// A TCP connection is also picked up in the middle, so that a firewall that
/// comes later does not cut it; then the side with the higher port is taken for
/// the client, which keeps a denied server connection from becoming an allowed
/// "reply".
#[inline(always)]
fn may_begin(direction: Direction, flow: &Flow) -> bool {
    if flow.l4.protocol != TCP || flow.l4.is_pure_syn() {
        return true;
    }
    if flow.l4.tcp_flags & (SYN | RST) != 0 {
        return false;
    }
    match direction {
        Direction::Ingress => flow.key.remote_port >= flow.key.local_port,
        Direction::Egress => flow.key.local_port >= flow.key.remote_port,
    }
}

#[inline(always)]
fn live<T: Tables>(tables: &T, key: &FlowKey, now: u32) -> Option<FlowState> {
    let state = tables.flow(key)?;
    let lifetime = match state.phase {
        0 => LIFETIME[0],
        1 => LIFETIME[1],
        _ => LIFETIME[2],
    };
    if now.wrapping_sub(state.seen) > lifetime {
        return None;
    }
    Some(state)
}

/// Writes only when something changed: at most once a second and connection.
#[inline(always)]
fn refresh<T: Tables>(tables: &T, flow: &Flow, old: FlowState, now: u32) {
    let mut new = FlowState { seen: now, ..old };
    if flow.l4.protocol == TCP {
        let flags = flow.l4.tcp_flags;
        if flags & (FIN | RST) != 0 {
            new.phase = Phase::Closing as u8;
        } else if flow.l4.is_pure_syn() {
            new.phase = Phase::New as u8;
        } else if flags & ACK != 0 && old.phase == Phase::New as u8 {
            new.phase = Phase::Established as u8;
        }
    }
    if new.seen != old.seen || new.phase != old.phase {
        remember_as(tables, &flow.key, new);
    }
}

/// Writes the state of a connection; of one of the node's own, its port, too.
#[inline(always)]
fn remember_as<T: Tables>(tables: &T, key: &FlowKey, state: FlowState) {
    if state.origin == Origin::Local as u8 {
        // 0 stands for never.
        tables.set_port_seen(key.local_port, state.seen.max(1));
    }
    tables.set_flow(key, state);
}

#[inline(always)]
const fn state(now: u32, origin: Origin, phase: Phase) -> FlowState {
    FlowState {
        seen: now,
        origin: origin as u8,
        phase: phase as u8,
        pad: [0; 2],
    }
}

#[inline(always)]
const fn is_icmp(protocol: u8) -> bool {
    protocol == ICMP || protocol == ICMPV6
}
