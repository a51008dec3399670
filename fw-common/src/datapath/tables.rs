//! What the decision needs from its surroundings: the kernel's maps, or the
//! model's collections.

use super::Scratch;
use super::flows::Bucket;
use super::rate::{Peers, Question};
use super::told::Told;
use crate::packet::Packet;
use crate::wire::{
    ActiveWord, Address, Counter, Direction, Event, EventKind, FlowSeeds, FragmentKey,
    FragmentProgress, FragmentState, Generation, RateLimit, VerdictWord,
};

/// The plan in force: which generation, and what it says of itself.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// 0 or 1.
    pub index: u32,
    /// Never with number 0.
    pub plan: &'a Generation,
    /// Which tables beside it must be asked.
    pub word: ActiveWord,
}

/// A table of service classes by a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// By ICMP type.
    Icmp,
    /// By ICMPv6 type.
    Icmpv6,
    /// By IP protocol number.
    Protocol,
}

/// Tables, counters, events and the clock.
///
/// Lookups take the generation from the caller, who reads it once a packet: no
/// packet is judged by a mixture of two plans.
pub trait Tables {
    /// The plan in force, if one was ever installed.
    fn active(&self) -> Option<View<'_>>;
    /// Whether the node takes packets for this address as its own.
    fn is_local(&self, view: View<'_>, address: &Address) -> bool;
    /// Class of a peer: its own, else that of the longest prefix.
    fn peer_class(&self, view: View<'_>, family: u8, address: &Address) -> Option<u32>;
    /// Class of a VLAN, by its id.
    fn vlan_class(&self, generation: u32, vlan: u16) -> Option<u32>;
    /// Whether the operator has banned a peer, and the ban has not run out.
    fn is_banned(&self, view: View<'_>, address: &Address) -> bool;
    /// Service class of a port; `table` is a [`crate::wire::port_index`].
    fn port_class(&self, table: u32, port: u16) -> Option<u32>;
    /// Service class by number; `table` is a [`crate::wire::direction_index`].
    fn number_class(&self, table: u32, numbers: Numbers, number: u8) -> Option<u32>;
    /// A cell of the matrix.
    fn verdict(&self, generation: u32, direction: Direction, cell: u32) -> Option<VerdictWord>;

    /// What connections are hashed with.
    fn flow_seeds(&self) -> Option<&FlowSeeds>;
    /// A bucket of remembered connections.
    fn flow_bucket(&self, number: u32) -> Option<Bucket<'_>>;
    /// Counts a connection that is remembered from now on, perhaps in place of another.
    fn count_flow(&self, displaced: bool);
    /// When a connection of the node's own from this port was seen last; 0: never.
    fn port_seen(&self, port: u16) -> u32;
    /// Notes that one was seen at `now`.
    fn set_port_seen(&self, port: u16, now: u32);
    /// Whether a packet is one too many by the limit of a rule: [`super::rate::judge`], in a form in
    /// which the kernel's verifier goes through it once.
    fn is_rate_exceeded(&self, question: Question) -> bool;
    /// The limit of a rule, by its [`crate::wire::rule_index`].
    fn rate_limit(&self, rule: u32) -> Option<&RateLimit>;
    /// A bucket of peers that are limited.
    fn rate_bucket(&self, number: u32) -> Option<Peers<'_>>;
    /// [`super::told::is_told`], likewise.
    fn is_told(&self, hash: u64, now: u32) -> bool;
    /// A bucket of flows that were reported.
    fn told(&self, bucket: u32) -> Option<Told<'_>>;
    /// What `step` makes of a fragmented packet that is remembered. The progress that
    /// it leaves is kept; two steps at once may be counted as one.
    fn fragment<R>(
        &self,
        key: &FragmentKey,
        step: impl FnOnce(&FragmentState, &mut FragmentProgress) -> R,
    ) -> Option<R>;
    /// Remembers a fragmented packet. A full table forgets the one not used for longest.
    fn set_fragment(&self, key: &FragmentKey, state: &FragmentState);

    /// Memory for the packet at hand, as the one before left it.
    fn scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> Option<R>;

    /// Counts a packet.
    fn count(&self, direction: Direction, counter: Counter, bytes: u32);
    /// Counts a packet for the rule that decided; apart if it is `beyond` the limit of a
    /// rule that would allow it.
    fn count_rule(&self, generation: u32, rule: u16, bytes: u32, beyond: bool);
    /// Whether another event of this kind and slot ([`crate::wire::rule_slot`],
    /// [`crate::wire::reason_slot`]) may be reported now; what may not is counted as lost.
    fn may_report(&self, kind: EventKind, slot: u32, limit: u32) -> bool;
    /// Bytes of a packet that somebody captures; 0: nobody does.
    fn snaplen(&self) -> u32;
    /// Reports what `fill` writes, where it will be read; `time` is filled in here. A packet
    /// that is captured is handed out, too.
    fn report<P: Packet>(&self, packet: &P, fill: impl FnOnce(&mut Event));
    /// A monotonic clock that ticks as the plan says, in [`crate::wire::CLOCK_UNITS`].
    fn clock(&self, plan: &Generation) -> u64;
    /// The clock of a generation.
    fn clock_of(&self, generation: u32) -> Option<u64>;
    /// Seconds of that clock.
    #[inline(always)]
    fn now(&self, view: View<'_>) -> u32 {
        (self.clock(view.plan) >> 32) as u32
    }
}
