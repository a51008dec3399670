//! The decision about one packet, from top to bottom in [`run`].
//!
//! Generic over the frame ([`Packet`]) and its surroundings ([`Tables`]), so that
//! XDP, TC and the host run the very same lines.

pub mod builtin;
mod case;
pub mod classify;
mod conntrack;
pub mod flow;
pub mod tables;

use crate::packet::Packet;
use crate::packet::behind::{self, Behind};
use crate::packet::front::{self, Front};
use crate::packet::ip::{Addresses, Part};
use crate::wire::{Builtin, Counter, Direction, DropReason};
use case::Case;
use flow::Flow;
use tables::Tables;

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
    let mut case = Case::new(packet, tables, view, direction);
    let mut front = Front::default();
    let mut addresses = Addresses::default();
    if let Some(reason) = front::read(packet, &mut front, &mut addresses) {
        return case.unreadable(&Flow::default(), reason);
    }
    let ip = &front.ip;
    if ip.family == 0 {
        return case.pass(Counter::NotIp);
    }
    case.vlan = front.vlan;
    case.family = ip.family;
    let mut flow = Flow::between(direction, &addresses);
    if !tables.is_local(view, &flow.key.local) && !flow.key.local.is_loopback(ip.family) {
        return case.pass(Counter::NotLocal);
    }
    if let Direction::Egress = direction
        && view.plan.builtins & Builtin::Multicast.bit() != 0
        && (front.broadcast || flow.peer().is_multicast(ip.family))
    {
        return case.pass(Counter::Multicast);
    }
    let mut behind = Behind::default();
    if let Some(reason) = behind::read(packet, ip, &mut behind) {
        return case.unreadable(&flow, reason);
    }
    if behind.fragment.part != Part::Whole
        && !flow::find_ports(tables, direction, &flow, ip.family, &mut behind)
    {
        return case.unreadable(&flow, DropReason::FragmentWithoutFirst);
    }
    flow.about(direction, behind.l4);
    if builtin::passes(view.plan.builtins, direction, ip, &flow) {
        return case.pass(Counter::Builtin);
    }
    judge(&mut case, &flow, &behind)
}

/// Policy, then what conntrack knows.
#[inline(always)]
fn judge<P: Packet, T: Tables>(case: &mut Case<'_, P, T>, flow: &Flow, behind: &Behind) -> Verdict {
    case.class = classify::peer_class(case.tables, case.view, case.family, flow.peer());
    if case.packet.forwarded() {
        conntrack::remember(case, flow);
        return case.pass(Counter::Forwarded);
    }
    let word = classify::verdict(
        case.tables,
        case.view,
        case.direction,
        case.class,
        flow.service(),
    );
    if word.is_allow() {
        conntrack::remember(case, flow);
        return case.allowed(word, flow);
    }
    if conntrack::is_reply(case, flow) {
        return case.pass(Counter::Reply);
    }
    if behind.quotes && conntrack::is_related(case, &behind.quoted) {
        return case.pass(Counter::Related);
    }
    // In audit mode the packet passes. Its replies must be known as such, else
    // they would look like connections that their sender began; and like an
    // allowed connection it is reported once.
    let report = case.enforces() || conntrack::touch(case, flow);
    case.denied(word, flow, report)
}
