//! The packet at hand, and its end: counted, perhaps reported, passed or dropped.

use super::Verdict;
use super::flow::Flow;
use super::tables::{Tables, View};
use crate::packet::Packet;
use crate::packet::transport::TCP;
use crate::wire::{
    Action, Builtin, Counter, Direction, DropReason, EventKind, EventLink, GenerationFlags,
    RULE_NO_POLICY, VerdictWord, reason_slot, rule_slot,
};

/// The packet at hand, as one argument: a BPF function takes at most five. Its
/// direction is part of the type, so that each is compiled and verified by itself.
pub struct Case<'a, P, T, const EGRESS: bool> {
    /// The frame.
    pub packet: &'a P,
    /// The tables.
    pub tables: &'a T,
    /// The plan that judges it.
    pub view: View<'a>,
    /// Row of the matrix, once it is known: VLAN and peer, the same in both directions.
    pub row: u32,
    /// Outermost VLAN id, once it is known.
    pub vlan: u16,
    /// 4 or 6, once it is known.
    pub family: u8,
}

impl<'a, P: Packet, T: Tables, const EGRESS: bool> Case<'a, P, T, EGRESS> {
    #[inline(always)]
    pub(super) const fn new(packet: &'a P, tables: &'a T, view: View<'a>) -> Self {
        Self {
            packet,
            tables,
            view,
            row: 0,
            vlan: 0,
            family: 0,
        }
    }

    /// Where it goes.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::unused_self, reason = "it reads like the other properties")]
    pub const fn direction(&self) -> Direction {
        if EGRESS {
            Direction::Egress
        } else {
            Direction::Ingress
        }
    }

    /// The first row of the matrix for the VLAN that the packet is in.
    ///
    /// Replies are taken to come back in the same VLAN; one that comes in another, and
    /// whose connection is not remembered, is judged by what holds there.
    #[inline(always)]
    pub fn first_row(&self) -> u32 {
        let plan = self.view.plan;
        if plan.flags & GenerationFlags::VLANS == 0 {
            return 0;
        }
        let class = self.tables.vlan_class(self.view.index, self.vlan);
        // As with peers, a missing entry cannot happen with a plan that was read back.
        class.unwrap_or(0) * plan.rows
    }

    /// Whether what is denied is dropped.
    #[inline(always)]
    pub const fn enforces(&self) -> bool {
        self.view.plan.flags & GenerationFlags::ENFORCE != 0
    }

    /// Whether a built-in is on.
    #[inline(always)]
    pub const fn is_on(&self, builtin: Builtin) -> bool {
        self.view.plan.builtins & builtin.bit() != 0
    }

    /// Passes without a rule.
    #[inline(always)]
    pub fn pass(&self, counter: Counter) -> Verdict {
        self.count(counter);
        Verdict::Pass
    }

    /// Policy or failsafe allow it. Reported if something begins with it.
    #[inline(always)]
    pub fn allowed(&self, word: VerdictWord, flow: &Flow) -> Verdict {
        self.count(if word.is_failsafe() {
            Counter::Failsafe
        } else {
            Counter::Allowed
        });
        self.count_rule(word.rule(), false);
        if word.rule() != RULE_NO_POLICY
            && self.begins(flow)
            && self.may_report(EventKind::Allowed, self.slot_of(word))
        {
            self.report(flow, word.rule(), Action::Allow, 0);
        }
        Verdict::Pass
    }

    /// Whether it is the first of a flow, as far as one packet of TCP can tell; of all else
    /// those flows are remembered that were seen of late, whichever way.
    #[inline(always)]
    fn begins(&self, flow: &Flow) -> bool {
        if flow.l4.protocol == TCP {
            return flow.l4.is_pure_syn();
        }
        let Some(seeds) = self.tables.flow_seeds() else {
            return true;
        };
        let hash = seeds.flow_hash(flow.key.words());
        !self.tables.is_told(hash, self.tables.now(self.view))
    }

    /// Policy denies it or admission does, or it is over the limit up to which it is allowed.
    #[inline(always)]
    pub fn denied(&self, word: VerdictWord, flow: &Flow, report: bool) -> Verdict {
        let reason = if word.is_allow() {
            DropReason::RateLimited
        } else if word.is_unadmitted() {
            DropReason::VlanNotAdmitted
        } else if word.is_explicit_deny() {
            DropReason::DenyRule
        } else {
            DropReason::DefaultDeny
        };
        self.count_rule(word.rule(), word.is_allow());
        self.stop(flow, word.rule(), reason, self.slot_of(word), report)
    }

    /// It cannot be read, or by no policy; `flow` has what is known of it.
    #[inline(never)]
    pub fn unreadable(&self, flow: &Flow, reason: DropReason) -> Verdict {
        let slot = reason_slot(self.direction(), reason);
        self.stop(flow, RULE_NO_POLICY, reason, slot, true)
    }

    /// Drops, or in audit mode says that it would.
    #[inline(always)]
    fn stop(&self, flow: &Flow, rule: u16, reason: DropReason, slot: u32, report: bool) -> Verdict {
        let (counter, action, verdict) = if self.enforces() {
            (Counter::Dropped(reason), Action::Deny, Verdict::Drop)
        } else {
            (Counter::Audited(reason), Action::Audit, Verdict::Pass)
        };
        self.count(counter);
        if report && self.may_report(EventKind::Denied, slot) {
            self.report(flow, rule, action, reason as u8);
        }
        verdict
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        self.tables
            .count(self.direction(), counter, self.packet.length());
    }

    #[inline(always)]
    fn count_rule(&self, rule: u16, beyond: bool) {
        let bytes = self.packet.length();
        self.tables.count_rule(self.view.index, rule, bytes, beyond);
    }

    #[inline(always)]
    fn slot_of(&self, word: VerdictWord) -> u32 {
        rule_slot(self.view.index, word.rule())
    }

    #[inline(always)]
    fn may_report(&self, kind: EventKind, slot: u32) -> bool {
        let limit = self.view.plan.event_limit;
        self.tables.may_report(kind, slot, limit)
    }

    #[inline(never)]
    fn report(&self, flow: &Flow, rule: u16, action: Action, reason: u8) {
        let (source, destination) = match self.direction() {
            Direction::Ingress => (flow.key.remote, flow.key.local),
            Direction::Egress => (flow.key.local, flow.key.remote),
        };
        let snaplen = match action {
            Action::Allow => 0,
            Action::Deny | Action::Audit => self.tables.snaplen(),
        };
        let length = self.packet.length();
        let wanted = if length < snaplen { length } else { snaplen };
        let (captured, front) = match (wanted, self.packet.front()) {
            (0, _) => (0, 0),
            (wanted, front) => (wanted + u32::from(front), front),
        };
        let tag = self.packet.offloaded_tag();
        let link = match tag {
            _ if P::HEADERLESS => EventLink::None,
            Some(_) => EventLink::Tagged,
            None => EventLink::Ethernet,
        };
        self.tables.report(self.packet, |event| {
            event.plan = self.view.plan.number;
            event.source = source;
            event.destination = destination;
            event.ifindex = self.packet.ifindex();
            event.length = length;
            event.source_port = flow.l4.source;
            event.destination_port = flow.l4.destination;
            event.rule = rule;
            event.vlan = self.vlan;
            event.action = action as u8;
            event.reason = reason;
            event.direction = self.direction() as u8;
            event.family = self.family;
            event.protocol = flow.l4.protocol;
            event.tcp_flags = flow.l4.tcp_flags;
            event.icmp_type = flow.l4.icmp_type;
            event.icmp_code = flow.l4.icmp_code;
            event.captured = captured as u16;
            event.front = front;
            event.tag = tag.unwrap_or(0);
            event.link = link as u8;
            event.pad = 0;
        });
    }
}
