//! Connections, remembered only where a verdict depends on it.
//!
//! A packet that policy allows leaves a trace only if its reply would be denied
//! by the policy of the other direction. So a busy server's replies never create
//! state, and nobody fills the table from outside while ingress is what is
//! filtered.
//!
//! A connection is its five-tuple, whatever VLAN its packets are in: links fail over,
//! and routes need not be symmetric.

use super::case::Case;
use super::classify::{self, Service};
use super::flow::Flow;
use super::flows::{Bucket, Found};
use super::tables::Tables;
use crate::packet::Packet;
use crate::packet::icmp::{self, Quoted};
use crate::packet::ip::Addresses;
use crate::packet::transport::{ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP};
use crate::wire::{
    Address, Direction, FlowKey, FlowState, GenerationFlags, L4, Origin, Phase, VerdictWord,
};

/// Remembers the connection of a packet that may pass, if policy would deny its reply,
/// or always ([`VerdictWord::is_to_be_remembered`]).
#[inline(always)]
pub(super) fn remember<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    always: bool,
) {
    // Decided here, so that an unfiltered direction costs one test of a bit.
    let back = GenerationFlags::filters(case.direction().reverse());
    if always || case.view.plan.flags & back != 0 && denies_reply(case, flow) {
        note(case, flow);
    }
}

/// Remembers the connection that the packet belongs to, or that it goes on. True
/// if it was not remembered before.
#[inline(always)]
fn note<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
) -> bool {
    let touched = touch(case, flow, false);
    if EGRESS && touched == PERHAPS {
        pick_up(case, flow);
    }
    touched != KNOWN
}

/// Remembers a TCP connection of which the beginning was not seen, if it can be the
/// node's own.
#[inline(never)]
fn pick_up<P: Packet, T: Tables, const EGRESS: bool>(case: &Case<'_, P, T, EGRESS>, flow: &Flow) {
    let (local, port) = (&flow.key.local, flow.key.local_port);
    if !case.packet.is_server(case.family, local, port) {
        touch(case, flow, true);
    }
}

/// It was remembered before.
const KNOWN: u32 = 0;
/// It was not.
const NEW: u32 = 1;
/// Nor is it, unless it may be picked up.
const PERHAPS: u32 = 2;

/// [`note`], in a function of its own in the kernel: a number says what came of it.
#[inline(never)]
fn touch<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    picked_up: bool,
) -> u32 {
    let origin = match case.direction() {
        Direction::Ingress => Origin::Remote,
        Direction::Egress => Origin::Local,
    };
    let now = case.tables.now(case.view);
    let words = flow.key.words();
    let Some((bucket, tag)) = bucket_of(case.tables, words) else {
        return NEW;
    };
    let known = bucket.find(tag, words);
    if let Some(known) = known
        && known.state.is_live(now)
        // A new connection takes over the five-tuple of an old one.
        && (known.state.origin() == origin || !flow.l4.is_pure_syn())
    {
        refresh(case.tables, flow, bucket, known, origin, now);
        return KNOWN;
    }
    if !picked_up {
        match may_begin(case.direction(), flow) {
            Some(true) => {}
            Some(false) => return NEW,
            None => return PERHAPS,
        }
    }
    let state = FlowState::new(now, origin, first_phase(flow.l4.protocol));
    match known {
        Some(known) => bucket.update(known, state),
        None => {
            let displaced = bucket.insert(tag, words, state, now);
            case.tables.count_flow(displaced);
        }
    }
    note_port(case.tables, flow, origin, now);
    NEW
}

/// [`note`] for a packet that passes only because the mode is audit: true if it should
/// be reported. What was allowed up to a limit is no connection that was reported as
/// denied before.
#[inline(never)]
pub(super) fn is_news<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    word: VerdictWord,
) -> bool {
    note(case, flow) | word.is_allow()
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
        if seen == 0 || idle > Phase::LONGEST as i32 {
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
    let words = flow.key.words();
    let Some((bucket, tag)) = bucket_of(case.tables, words) else {
        return false;
    };
    let (wanted, from) = match case.direction() {
        Direction::Ingress => (Origin::Local, Origin::Remote),
        Direction::Egress => (Origin::Remote, Origin::Local),
    };
    match bucket.find(tag, words) {
        Some(known) if known.state.is_live(now) && known.state.origin() == wanted => {
            refresh(case.tables, flow, bucket, known, from, now);
            true
        }
        _ => false,
    }
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
    let words = key.words();
    let Some((bucket, tag)) = bucket_of(case.tables, words) else {
        return false;
    };
    let now = case.tables.now(case.view);
    bucket
        .find(tag, words)
        .is_some_and(|known| known.state.is_live(now))
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
    let row = case.first_row() + class;
    classify::verdict(case.tables, case.view, case.direction(), row, reply).is_allow()
}

/// Whether policy would deny the reply to this packet, or let it pass only up to a
/// limit, which is not for replies.
#[inline(never)]
fn denies_reply<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
) -> bool {
    let Some(reply) = reply_to(&flow.l4) else {
        return false;
    };
    let back = case.direction().reverse();
    !classify::verdict(case.tables, case.view, back, case.row, reply).always_passes()
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
/// sender's side began; `None`: unless a server sends it.
///
/// A TCP connection is also picked up in the middle, so that a firewall that
/// comes later does not cut it; then the side with the higher port is taken for
/// the client, unless a server of the node listens there. That keeps a denied server
/// connection from becoming an allowed "reply".
#[inline(always)]
fn may_begin(direction: Direction, flow: &Flow) -> Option<bool> {
    if flow.l4.protocol != TCP || flow.l4.is_pure_syn() {
        return Some(true);
    }
    if flow.l4.tcp_flags & (SYN | RST) != 0 {
        return Some(false);
    }
    let key = &flow.key;
    match direction {
        Direction::Ingress => Some(key.remote_port >= key.local_port),
        Direction::Egress if key.local_port < key.remote_port => Some(false),
        Direction::Egress => None,
    }
}

/// Where a connection is remembered, and its tag there.
#[inline(always)]
fn bucket_of<'a, T: Tables>(
    tables: &'a T,
    words: &[u64; FlowKey::WORDS],
) -> Option<(Bucket<'a>, u32)> {
    let place = tables.flow_seeds()?.place(words);
    Some((tables.flow_bucket(place.bucket)?, place.tag))
}

/// Keeps a connection alive that a packet of the side `from` belongs to. Writes only
/// when something changed: at most once a second and connection.
///
/// Only an answer makes a connection live long, so that nobody fills the table with
/// long-lived ones by talking to himself.
#[inline(always)]
fn refresh<T: Tables>(
    tables: &T,
    flow: &Flow,
    bucket: Bucket<'_>,
    known: Found,
    from: Origin,
    now: u32,
) {
    let origin = known.state.origin();
    let answers = from != origin;
    let mut phase = known.state.phase();
    if flow.l4.protocol == TCP {
        let flags = flow.l4.tcp_flags;
        if flags & (FIN | RST) != 0 {
            phase = Phase::Closing;
        } else if flow.l4.is_pure_syn() && !answers {
            phase = Phase::Opening;
        } else if flags & ACK != 0 && answers && phase == Phase::Opening {
            phase = Phase::Established;
        }
    } else if answers && phase == Phase::Asking {
        phase = Phase::Answered;
    }
    let state = FlowState::new(now, origin, phase);
    if state != known.state {
        bucket.update(known, state);
        note_port(tables, flow, origin, now);
    }
}

/// Notes when a port of the node's own connections was seen.
#[inline(always)]
fn note_port<T: Tables>(tables: &T, flow: &Flow, origin: Origin, now: u32) {
    if let Origin::Local = origin {
        // 0 stands for never.
        tables.set_port_seen(flow.key.local_port, now.max(1));
    }
}

/// The phase of a connection of which one packet was seen. Also in the middle of TCP:
/// the other side shows that it is alive by answering.
#[inline(always)]
const fn first_phase(protocol: u8) -> Phase {
    match protocol {
        TCP => Phase::Opening,
        ICMP | ICMPV6 => Phase::Icmp,
        _ => Phase::Asking,
    }
}

#[inline(always)]
const fn is_icmp(protocol: u8) -> bool {
    protocol == ICMP || protocol == ICMPV6
}
