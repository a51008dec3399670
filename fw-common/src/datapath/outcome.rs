//! The end of every packet: counted, perhaps reported, passed or dropped.

use super::Verdict;
use super::flow::Flow;
use super::tables::{Tables, View};
use crate::packet::Packet;
use crate::packet::ip::Ip;
use crate::packet::transport::TCP;
use crate::wire::{
    Action, Address, Counter, Direction, DropReason, Event, GenerationFlags, L4, RULE_NO_POLICY,
    VerdictWord,
};

/// The packet at hand.
pub(super) struct Case<'a, P, T> {
    packet: &'a P,
    tables: &'a T,
    direction: Direction,
    /// Outermost VLAN id, once it is known.
    pub vlan: u16,
    /// 4 or 6, once it is known.
    pub family: u8,
}

/// Who is named in an event.
struct Parties {
    source: Address,
    destination: Address,
    l4: L4,
}

/// Kinds of events that are limited apart from each other, so that a flood of
/// the one does not hide the other.
const KIND_ALLOWED: u32 = 0;
const KIND_DENIED: u32 = 1;

#[inline(always)]
pub(super) const fn enforces(view: View<'_>) -> bool {
    view.plan.flags & GenerationFlags::ENFORCE != 0
}

impl<'a, P: Packet, T: Tables> Case<'a, P, T> {
    #[inline(always)]
    pub fn new(packet: &'a P, tables: &'a T, direction: Direction) -> Self {
        Self {
            packet,
            tables,
            direction,
            vlan: 0,
            family: 0,
        }
    }

    /// Passes without a rule.
    #[inline(always)]
    pub fn pass(&self, counter: Counter) -> Verdict {
        self.count(counter);
        Verdict::Pass
    }

    /// Policy or failsafe allow it. Reported if it is the first of a connection,
    /// as far as one packet can tell.
    #[inline(always)]
    pub fn allowed(&self, view: View<'_>, word: VerdictWord, flow: &Flow) -> Verdict {
        self.count(if word.is_failsafe() {
            Counter::Failsafe
        } else {
            Counter::Allowed
        });
        self.count_rule(view, word.rule());
        let begins = flow.l4.protocol != TCP || flow.l4.is_pure_syn();
        if begins && word.rule() != RULE_NO_POLICY && self.may_report(view, KIND_ALLOWED) {
            let parties = self.parties(flow);
            self.report(view, word.rule(), Action::Allow, 0, &parties);
        }
        Verdict::Pass
    }

    /// Policy denies it.
    #[inline(always)]
    pub fn denied(&self, view: View<'_>, word: VerdictWord, flow: &Flow) -> Verdict {
        let reason = if word.is_explicit_deny() {
            DropReason::DenyRule
        } else {
            DropReason::DefaultDeny
        };
        self.count_rule(view, word.rule());
        let parties = self.parties(flow);
        self.stop(view, word.rule(), reason, &parties)
    }

    /// Not even its addresses could be read.
    #[inline(always)]
    pub fn unreadable(&self, view: View<'_>, reason: DropReason) -> Verdict {
        let parties = Parties {
            source: Address::default(),
            destination: Address::default(),
            l4: L4::default(),
        };
        self.stop(view, RULE_NO_POLICY, reason, &parties)
    }

    /// Its addresses are known, but nothing behind them.
    #[inline(always)]
    pub fn unreadable_from(&self, view: View<'_>, ip: &Ip, reason: DropReason) -> Verdict {
        let parties = Parties {
            source: ip.source,
            destination: ip.destination,
            l4: L4 {
                protocol: ip.protocol,
                ..L4::default()
            },
        };
        self.stop(view, RULE_NO_POLICY, reason, &parties)
    }

    /// Drops, or in audit mode says that it would.
    #[inline(always)]
    fn stop(&self, view: View<'_>, rule: u16, reason: DropReason, parties: &Parties) -> Verdict {
        let enforce = enforces(view);
        let (counter, action) = if enforce {
            (Counter::Dropped(reason), Action::Deny)
        } else {
            (Counter::Audited(reason), Action::Audit)
        };
        self.count(counter);
        if self.may_report(view, KIND_DENIED) {
            self.report(view, rule, action, reason as u8, parties);
        }
        if enforce {
            Verdict::Drop
        } else {
            Verdict::Pass
        }
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        self.tables
            .count(self.direction, counter, self.packet.length());
    }

    #[inline(always)]
    fn count_rule(&self, view: View<'_>, rule: u16) {
        self.tables
            .count_rule(view.index, rule, self.packet.length());
    }

    #[inline(always)]
    fn may_report(&self, view: View<'_>, kind: u32) -> bool {
        self.tables.may_report(kind, view.plan.event_limit)
    }

    #[inline(always)]
    fn parties(&self, flow: &Flow) -> Parties {
        let (source, destination) = match self.direction {
            Direction::Ingress => (flow.key.remote, flow.key.local),
            Direction::Egress => (flow.key.local, flow.key.remote),
        };
        Parties {
            source,
            destination,
            l4: flow.l4,
        }
    }

    #[inline(always)]
    fn report(&self, view: View<'_>, rule: u16, action: Action, reason: u8, who: &Parties) {
        self.tables.report(Event {
            time: 0,
            plan: view.plan.number,
            source: who.source,
            destination: who.destination,
            ifindex: self.packet.ifindex(),
            length: self.packet.length(),
            source_port: who.l4.source,
            destination_port: who.l4.destination,
            rule,
            vlan: self.vlan,
            action: action as u8,
            reason,
            direction: self.direction as u8,
            family: self.family,
            protocol: who.l4.protocol,
            tcp_flags: who.l4.tcp_flags,
            icmp_type: who.l4.icmp_type,
            icmp_code: who.l4.icmp_code,
        });
    }
}
