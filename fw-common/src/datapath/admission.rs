//! VLANs that are not admitted: what of them passes nevertheless.
//!
//! That a VLAN is not admitted is said by the cells of its rows of the matrix, so it
//! costs nothing to know. Failsafe entries are in these rows, too, and built-ins come
//! before: a wrong list of VLANs must not lock the operator out, who may come through
//! just the VLAN that was forgotten, and whom IPv6 finds only by neighbour discovery.
//! Everything else is denied, also inside connections that another VLAN carries.

use super::bans;
use super::case::Case;
use super::flow::Flow;
use super::tables::Tables;
use crate::packet::Packet;
use crate::wire::VerdictWord;

/// Whether a packet that `word` denies may pass if it answers something: nothing of a
/// banned peer does, and in a VLAN that is not admitted only what answers a failsafe entry.
#[inline(always)]
pub(super) fn may_answer<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    word: VerdictWord,
) -> bool {
    !word.is_banned() && (!word.is_unadmitted() || answers_failsafe(case, flow))
}

/// A function of its own in the kernel: few packets need it.
#[inline(never)]
fn answers_failsafe<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
) -> bool {
    bans::answers_failsafe(case, flow)
}
