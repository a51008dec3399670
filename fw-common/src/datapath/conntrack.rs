//! Connections, remembered only where a verdict depends on it.
//!
//! A packet that policy allows leaves a trace only if its reply would be denied
//! by the policy of the other direction. So a busy server's replies never create
//! state, and nobody fills the table from outside while ingress is what is
//! filtered.

use super::classify::{self, Service};
use super::flow::Flow;
use super::tables::{Tables, View};
use crate::packet::icmp::{self, Quoted};
use crate::packet::transport::{ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP};
use crate::wire::{Direction, FlowKey, FlowState, Origin, Phase};

/// Lifetimes in units of 2^30 ns (1.07 s), by [`Phase`]: Cilium's defaults.
const LIFETIME: [u32; 3] = [56, 7_450, 10];

/// Remembers the connection of a packet that may pass, if its reply needs that.
#[inline(always)]
pub fn remember<T: Tables>(
    tables: &T,
    view: View<'_>,
    direction: Direction,
    class: u32,
    flow: &Flow,
) {
    if needs_state(tables, view, direction, class, flow) {
        touch(tables, direction, flow);
    }
}

/// Remembers the connection of a packet of `direction`, or that it goes on.
///
/// Used by itself for what audit mode lets pass although policy denies it: its
/// replies must not look like connections that their sender began.
#[inline(always)]
pub fn touch<T: Tables>(tables: &T, direction: Direction, flow: &Flow) {
    let origin = match direction {
        Direction::Ingress => Origin::Remote,
        Direction::Egress => Origin::Local,
    };
    let now = tables.now();
    match live(tables, &flow.key, now) {
        // A new connection takes over the five-tuple of an old one.
        Some(state) if state.origin == origin as u8 || !flow.l4.is_pure_syn() => {
            refresh(tables, flow, state, now);
        }
        _ => {
            if may_begin(direction, flow) {
                let syn = flow.l4.is_pure_syn() || flow.l4.protocol != TCP;
                let phase = if syn { Phase::New } else { Phase::Established };
                tables.set_flow(&flow.key, state(now, origin, phase));
            }
        }
    }
}

/// Whether a packet that policy denies belongs to a connection of the other
/// direction; if so the connection is kept alive.
#[inline(always)]
pub fn is_reply<T: Tables>(tables: &T, direction: Direction, flow: &Flow) -> bool {
    let l4 = &flow.l4;
    // Neither can be a reply, so a flood of them costs no lookup.
    if l4.is_pure_syn() || is_icmp(l4.protocol) && !icmp::is_reply(l4.protocol, l4.icmp_type) {
        return false;
    }
    let now = tables.now();
    let Some(state) = live(tables, &flow.key, now) else {
        return false;
    };
    let wanted = match direction {
        Direction::Ingress => Origin::Local,
        Direction::Egress => Origin::Remote,
    };
    if state.origin != wanted as u8 {
        return false;
    }
    refresh(tables, flow, state, now);
    true
}

/// Whether an ICMP error of `direction` is about a packet that went the other
/// way and may be answered: it is remembered, or its replies need no memory.
#[inline(always)]
pub fn is_related<T: Tables>(
    tables: &T,
    view: View<'_>,
    direction: Direction,
    family: u8,
    quoted: &Quoted,
) -> bool {
    let (local, remote, local_port, remote_port) = match direction {
        Direction::Ingress => (
            quoted.source,
            quoted.destination,
            quoted.l4.source,
            quoted.l4.destination,
        ),
        Direction::Egress => (
            quoted.destination,
            quoted.source,
            quoted.l4.destination,
            quoted.l4.source,
        ),
    };
    let protocol = quoted.l4.protocol;
    if !tables.is_local(&local) {
        return false;
    }
    let key = FlowKey {
        local,
        remote,
        local_port: if is_icmp(protocol) {
            quoted.l4.source
        } else {
            local_port
        },
        remote_port: if is_icmp(protocol) { 0 } else { remote_port },
        protocol,
        pad: [0; 3],
    };
    if live(tables, &key, tables.now()).is_some() {
        return true;
    }
    let icmp_type = if is_icmp(protocol) {
        match icmp::reply_type(protocol, quoted.l4.icmp_type) {
            Some(reply) => reply,
            None => return false,
        }
    } else {
        0
    };
    let reply = Service {
        protocol,
        icmp_type,
        port: quoted.l4.source,
    };
    let class = classify::peer_class(tables, view, family, &remote);
    classify::verdict(tables, view, direction, class, reply).is_allow()
}

/// Whether policy would deny the reply to this packet.
#[inline(always)]
fn needs_state<T: Tables>(
    tables: &T,
    view: View<'_>,
    direction: Direction,
    class: u32,
    flow: &Flow,
) -> bool {
    let back = direction.reverse();
    if view.plan.flags & crate::wire::GenerationFlags::filters(back) == 0 {
        return false;
    }
    let l4 = &flow.l4;
    let icmp_type = if is_icmp(l4.protocol) {
        match icmp::reply_type(l4.protocol, l4.icmp_type) {
            Some(reply) => reply,
            None => return false,
        }
    } else {
        0
    };
    let reply = Service {
        protocol: l4.protocol,
        icmp_type,
        port: l4.source,
    };
    !classify::verdict(tables, view, back, class, reply).is_allow()
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
        tables.set_flow(&flow.key, new);
    }
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
