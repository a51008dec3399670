//! The decision about one packet, from top to bottom in [`run`].
//!
//! Generic over the frame ([`Packet`]) and its surroundings ([`Tables`]), so that
//! XDP, TC and the host run the very same lines.

mod admission;
mod bans;
pub mod builtin;
mod case;
pub mod classify;
mod conntrack;
pub mod flow;
pub mod flows;
mod fragment;
pub mod rate;
pub mod tables;
pub mod told;

use crate::packet::Packet;
use crate::packet::behind::{self, Behind};
use crate::packet::eth;
use crate::packet::fragment::Part;
use crate::packet::front::{self, Front};
use crate::packet::icmp::Quoted;
use crate::packet::quick::{self, Quick};
use crate::wire::{Builtin, Counter, Direction, DropReason};
use case::Case;
use flow::Flow;
use tables::Tables;

/// What is read of a packet that takes a second look. Not on the stack, of which a packet
/// has 512 bytes for all functions together.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Scratch {
    front: Front,
    behind: Behind,
}

/// What to do with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a verdict that nobody acts on lets everything pass"]
pub enum Verdict {
    /// Hand it on.
    Pass,
    /// Drop it.
    Drop,
}

/// Judges one packet. Exactly one [`Counter`] moves, and one rule's counter if a
/// rule decided.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(packet: &P, tables: &T, direction: Direction) -> Verdict {
    let Some(view) = tables.active() else {
        tables.count(direction, Counter::NoPlan, packet.length());
        return Verdict::Pass;
    };
    match direction {
        Direction::Ingress => look(Case::<P, T, false>::new(packet, tables, view)),
        Direction::Egress => look(Case::<P, T, true>::new(packet, tables, view)),
    }
}

#[inline(always)]
fn look<P: Packet, T: Tables, const EGRESS: bool>(mut case: Case<'_, P, T, EGRESS>) -> Verdict {
    let mut flow = Flow::default();
    let (mut places, l4) = flow.places(case.direction());
    match quick::read(case.packet, &mut places, l4) {
        Some(quick) => usual(&mut case, &mut flow, quick),
        None => match quick::no_ip(case.packet) {
            Some(other) if !eth::is_arp::<P>(other) => case.pass(Counter::NotIp),
            Some(_) if case.is_on(Builtin::Arp) => case.pass(Counter::Builtin),
            _ => thorough(&mut case, &mut flow),
        },
    }
}

/// What nearly every packet is: nothing in it needs a second look.
#[inline(always)]
fn usual<P: Packet, T: Tables, const EGRESS: bool>(
    case: &mut Case<'_, P, T, EGRESS>,
    flow: &mut Flow,
    quick: Quick,
) -> Verdict {
    case.family = quick.family;
    case.vlan = quick.vlan;
    if let Some(counter) = unjudged(case, flow, quick.broadcast) {
        return case.pass(counter);
    }
    settle(case, flow, quick.hop_limit, None)
}

/// Any packet, header by header.
#[inline(never)]
fn thorough<P: Packet, T: Tables, const EGRESS: bool>(
    case: &mut Case<'_, P, T, EGRESS>,
    flow: &mut Flow,
) -> Verdict {
    let tables = case.tables;
    let verdict = tables.scratch(|scratch| header_by_header(case, flow, scratch));
    // There is always some, but if there were not, nothing would have been read.
    verdict.unwrap_or(Verdict::Drop)
}

#[inline(always)]
fn header_by_header<P: Packet, T: Tables, const EGRESS: bool>(
    case: &mut Case<'_, P, T, EGRESS>,
    flow: &mut Flow,
    scratch: &mut Scratch,
) -> Verdict {
    *flow = Flow::default();
    let Scratch { front, behind } = scratch;
    *front = Front::default();
    let reason = front::read(case.packet, front, &mut flow.places(case.direction()).0);
    let ip = &front.ip;
    case.vlan = front.vlan;
    case.family = ip.family;
    match reason {
        None if ip.family == 0 => return case.pass(Counter::NotIp),
        None => {}
        Some(DropReason::ArpOff) if case.is_on(Builtin::Arp) => return case.pass(Counter::Builtin),
        Some(reason) => return case.unreadable(flow, reason),
    }
    if let Some(counter) = unjudged(case, flow, front.broadcast) {
        return case.pass(counter);
    }
    *behind = Behind::default();
    if let Some(reason) = behind::read(case.packet, ip, behind) {
        return case.unreadable(flow, reason);
    }
    if behind.fragment.part != Part::Whole
        && let Some(reason) = fragment::follow(case, flow, behind)
    {
        return case.unreadable(flow, reason);
    }
    flow.l4 = behind.l4;
    let builtins = case.view.plan.builtins;
    if builtin::passes_unusual(builtins, case.direction(), ip, flow) {
        return case.pass(Counter::Builtin);
    }
    // Neighbour discovery comes in one piece (RFC 6980 §5): in fragments it has no hop
    // limit that would do.
    let hop_limit = if behind.fragmented { 0 } else { ip.hop_limit };
    let quoted = behind.quotes.then_some(&behind.quoted);
    settle(case, flow, hop_limit, quoted)
}

/// Why a packet passes for its addresses alone, if it does.
#[inline(always)]
fn unjudged<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    broadcast: bool,
) -> Option<Counter> {
    let (family, local) = (case.family, &flow.key.local);
    if !case.tables.is_local(case.view, local) && !local.is_loopback(family) {
        return Some(Counter::NotLocal);
    }
    if let Direction::Egress = case.direction()
        && case.is_on(Builtin::Multicast)
        && (broadcast || flow.peer().is_multicast(family))
    {
        return Some(Counter::Multicast);
    }
    None
}

/// What all its headers together decide.
#[inline(always)]
fn settle<P: Packet, T: Tables, const EGRESS: bool>(
    case: &mut Case<'_, P, T, EGRESS>,
    flow: &mut Flow,
    hop_limit: u8,
    quoted: Option<&Quoted>,
) -> Verdict {
    flow.complete(case.direction());
    let builtins = case.view.plan.builtins;
    if builtin::passes(builtins, case.direction(), case.family, hop_limit, flow) {
        return case.pass(Counter::Builtin);
    }
    let class = classify::peer_class(case.tables, case.view, case.family, flow.peer());
    case.row = case.first_row() + class;
    judge(case, flow, quoted)
}

/// Policy, then what conntrack knows. The row of the matrix is in the case.
#[inline(always)]
fn judge<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    quoted: Option<&Quoted>,
) -> Verdict {
    if case.packet.forwarded() {
        conntrack::remember(case, flow, false);
        return case.pass(Counter::Forwarded);
    }
    let word = classify::verdict(
        case.tables,
        case.view,
        case.direction(),
        case.row,
        flow.service(),
    );
    let word = bans::apply(case, flow, word);
    // Limits are of ingress only.
    let exceeded = !EGRESS && word.is_limited() && rate::is_exceeded(case, flow, word.rule());
    if word.is_allow() && !exceeded {
        conntrack::remember(case, flow, word.is_to_be_remembered());
        return case.allowed(word, flow);
    }
    if admission::may_answer(case, flow, word) {
        if conntrack::is_reply(case, flow) {
            return case.pass(Counter::Reply);
        }
        if let Some(quoted) = quoted
            && conntrack::is_related(case, quoted)
        {
            return case.pass(Counter::Related);
        }
    }
    // In audit mode the packet passes. Its replies must be known as such, else
    // they would look like connections that their sender began; and like an
    // allowed connection it is reported once, unless it was allowed before.
    let report = case.enforces() || conntrack::is_news(case, flow, word);
    case.denied(word, flow, report)
}
