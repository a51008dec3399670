//! Peers whom the operator has banned: beside the plan, from one packet to the next.
//!
//! Nothing of a banned peer that is judged passes, in neither direction, whatever policy
//! says, not even inside a connection that is there already. Only what a failsafe entry
//! allows does, and what answers that: a ban may be a mistake. Built-ins and what the node
//! forwards are not judged, of nobody.

use super::case::Case;
use super::classify::{self, Service};
use super::flow::Flow;
use super::tables::Tables;
use crate::packet::Packet;
use crate::packet::icmp::{ECHO_REPLY, ECHO_REPLY_V6, ECHO_REQUEST, ECHO_REQUEST_V6};
use crate::packet::transport::{ICMP, ICMPV6};
use crate::wire::{L4, RULE_BAN, VerdictWord};

/// What becomes of `word`, which policy says, if the peer is banned.
#[inline(always)]
pub(super) fn apply<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    word: VerdictWord,
) -> VerdictWord {
    if case.tables.is_banned(case.view, flow.peer()) {
        banned(case, flow, word)
    } else {
        word
    }
}

#[inline(never)]
fn banned<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    word: VerdictWord,
) -> VerdictWord {
    if word.is_failsafe() {
        return word.banned();
    }
    let denied = VerdictWord::deny(RULE_BAN);
    if answers_failsafe(case, flow) {
        // Passes if it really is an answer.
        denied
    } else {
        denied.banned()
    }
}

/// Whether a failsafe entry allows what this packet would answer.
#[inline(always)]
pub(super) fn answers_failsafe<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
) -> bool {
    let back = case.direction().reverse();
    classify::verdict(case.tables, case.view, back, case.row, answered(&flow.l4)).is_failsafe()
}

/// What the packet would answer.
#[inline(always)]
const fn answered(l4: &L4) -> Service {
    let icmp_type = match (l4.protocol, l4.icmp_type) {
        (ICMP, ECHO_REPLY) => ECHO_REQUEST,
        (ICMPV6, ECHO_REPLY_V6) => ECHO_REQUEST_V6,
        (_, other) => other,
    };
    Service {
        protocol: l4.protocol,
        icmp_type,
        port: l4.source,
    }
}
