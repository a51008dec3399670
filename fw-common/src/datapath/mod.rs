//! The decision about one packet, from top to bottom in [`run`].
//!
//! Generic over the frame ([`Packet`]) and its surroundings ([`Tables`]), so that
//! XDP, TC and the host run the very same lines.

pub mod builtin;
pub mod classify;
pub mod conntrack;
pub mod flow;
mod outcome;
pub mod tables;

use crate::packet::{Packet, eth, icmp, ip};
use crate::wire::{Counter, Direction};
use flow::Flow;
use outcome::Case;
use tables::{Tables, View};

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
    let mut case = Case::new(packet, tables, direction);
    let Some(view) = tables.active() else {
        return case.pass(Counter::NoPlan);
    };
    let link = match eth::parse(packet) {
        Ok(link) => link,
        Err(reason) => return case.unreadable(view, reason),
    };
    if link.ethertype != eth::ETHERTYPE_IPV4 && link.ethertype != eth::ETHERTYPE_IPV6 {
        return case.pass(Counter::NotIp);
    }
    case.vlan = link.vlan;
    let mut ip = match ip::parse(packet, &link) {
        Ok(ip) => ip,
        Err(reason) => return case.unreadable(view, reason),
    };
    case.family = ip.family;
    let (local, remote) = match direction {
        Direction::Ingress => (&ip.destination, &ip.source),
        Direction::Egress => (&ip.source, &ip.destination),
    };
    if !tables.is_local(local) {
        return case.pass(Counter::NotLocal);
    }
    if let Direction::Egress = direction
        && (link.broadcast || remote.is_multicast(ip.family))
    {
        return case.pass(Counter::Multicast);
    }
    let l4 = match flow::read(packet, tables, &mut ip) {
        Ok(l4) => l4,
        Err(reason) => return case.unreadable_from(view, &ip, reason),
    };
    let flow = Flow::new(direction, &ip, l4);
    if builtin::passes(view.plan.builtins, direction, &ip, &flow) {
        return case.pass(Counter::Builtin);
    }
    let class = classify::peer_class(tables, view, ip.family, flow.peer());
    if packet.forwarded() {
        conntrack::remember(tables, view, direction, class, &flow);
        return case.pass(Counter::Forwarded);
    }
    let word = classify::verdict(tables, view, direction, class, flow.service());
    if word.is_allow() {
        conntrack::remember(tables, view, direction, class, &flow);
        return case.allowed(view, word, &flow);
    }
    if conntrack::is_reply(tables, direction, &flow) {
        return case.pass(Counter::Reply);
    }
    if is_related(packet, tables, view, direction, &ip, &flow) {
        return case.pass(Counter::Related);
    }
    if !outcome::enforces(view) {
        conntrack::touch(tables, direction, &flow);
    }
    case.denied(view, word, &flow)
}

#[inline(always)]
fn is_related<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    view: View<'_>,
    direction: Direction,
    ip: &ip::Ip,
    flow: &Flow,
) -> bool {
    if !icmp::is_error(&flow.l4) {
        return false;
    }
    match icmp::quoted(packet, ip.family, ip.offset) {
        Some(quoted) => conntrack::is_related(tables, view, direction, ip.family, &quoted),
        None => false,
    }
}
