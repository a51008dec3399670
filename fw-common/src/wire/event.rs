//! What the datapath reports through the ring buffer.

use super::{Address, DROP_REASONS, Direction, DropReason, GENERATIONS, pod};

/// What happened to the packet of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// It passed.
    Allow = 0,
    /// It was dropped.
    Deny = 1,
    /// It would have been dropped.
    Audit = 2,
}

/// One verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// Number of the plan that judged ([`super::Generation::number`]).
    pub plan: u64,
    /// Sender.
    pub source: Address,
    /// Receiver.
    pub destination: Address,
    /// Interface, as the hook sees it.
    pub ifindex: u32,
    /// Length of the frame.
    pub length: u32,
    /// Source port; identifier of an ICMP echo; else 0.
    pub source_port: u16,
    /// Destination port; else 0.
    pub destination_port: u16,
    /// Rule id in that plan.
    pub rule: u16,
    /// Outermost VLAN id, 0 for none.
    pub vlan: u16,
    /// [`Action`].
    pub action: u8,
    /// [`super::DropReason`] slot; meaningless when allowed.
    pub reason: u8,
    /// [`super::Direction`].
    pub direction: u8,
    /// 4 or 6; 0 when the packet could not be parsed that far.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// Bytes of the frame that follow where it is captured, with those in front; 0: it is not.
    pub captured: u16,
    /// Bytes of them in front of the packet, on an interface without a link layer.
    pub front: u16,
    /// Tag control information, if the link says that there is a tag.
    pub tag: u16,
    /// [`EventLink`].
    pub link: u8,
    /// Zero.
    pub pad: u8,
}

pod!(Event: 80);

#[cfg(target_arch = "bpf")]
impl Event {
    /// It as it lies in memory.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8; size_of::<Self>()] {
        // SAFETY: plain data without padding, of this size.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}

/// What the frame of an [`Event`] begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventLink {
    /// An Ethernet header.
    Ethernet = 0,
    /// An Ethernet header, of which a VLAN tag was moved out of the frame.
    Tagged = 1,
    /// An IP header, behind what is in front of the packet.
    None = 2,
}

/// Windows of 2^this jiffies (128 ms at 250 Hz) in which the events of a CPU are counted,
/// to hold them to [`super::Generation::event_limit`].
pub const EVENT_WINDOW_SHIFT: u32 = 5;
/// Slots of reasons that no rule stands behind, of both directions.
const EVENT_REASONS: u32 = 2 * REASONS_EACH;
const REASONS_EACH: u32 = 32;
/// Slots of the rules of one generation. Rules whose ids differ by a multiple of it share one.
pub const EVENT_RULES: u32 = 512;
/// Slots in all.
pub const EVENT_SLOTS: u32 = EVENT_REASONS + GENERATIONS * EVENT_RULES;

const _: () = assert!(DROP_REASONS.len() as u32 <= REASONS_EACH);

/// Kinds of events that are held to their limit apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum EventKind {
    /// The packet passed.
    Allowed = 0,
    /// It was dropped, or would have been.
    Denied = 1,
}

/// Both kinds.
pub const EVENT_KINDS: [EventKind; 2] = [EventKind::Allowed, EventKind::Denied];

/// The slot of packets that no rule has decided.
#[inline(always)]
#[must_use]
pub const fn reason_slot(direction: Direction, reason: DropReason) -> u32 {
    direction as u32 * REASONS_EACH + reason as u32
}

/// The slot of packets that a rule has decided.
#[inline(always)]
#[must_use]
pub const fn rule_slot(generation: u32, rule: u16) -> u32 {
    EVENT_REASONS + generation % GENERATIONS * EVENT_RULES + rule as u32 % EVENT_RULES
}

/// What a slot is of.
#[cfg(not(target_arch = "bpf"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotOwner {
    /// Packets without a rule.
    Reason(Direction, DropReason),
    /// Rules of a generation.
    Rules {
        /// Which one.
        generation: u32,
        /// The lowest id; the others follow [`EVENT_RULES`] apart.
        first: u16,
    },
}

#[cfg(not(target_arch = "bpf"))]
impl SlotOwner {
    /// The owner of a slot; `None`: it has none.
    #[must_use]
    pub fn of(slot: u32) -> Option<Self> {
        let Some(rules) = slot.checked_sub(EVENT_REASONS) else {
            let direction = match slot / REASONS_EACH {
                0 => Direction::Ingress,
                _ => Direction::Egress,
            };
            let reason = DropReason::from_slot(u8::try_from(slot % REASONS_EACH).ok()?)?;
            return Some(Self::Reason(direction, reason));
        };
        let first = u16::try_from(rules % EVENT_RULES).ok()?;
        let generation = rules / EVENT_RULES;
        (generation < GENERATIONS).then_some(Self::Rules { generation, first })
    }
}

/// What was spent in a window: its number, and in the lower [`EventSpent::COUNT_BITS`] bits
/// the events that were reported in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct EventSpent(pub u64);

impl EventSpent {
    /// More than a CPU handles in a window; the windows last for centuries.
    const COUNT_BITS: u32 = 24;

    /// Events reported in the window that begins at `now`.
    #[inline(always)]
    fn within(self, now: u64) -> u64 {
        let spent = self.0.wrapping_sub(now);
        // Nothing, if that was in a former window and the difference is negative.
        spent & !opaque((spent as i64 >> 63) as u64)
    }
}

/// The same number, of which the compiler knows nothing: it would find out what is meant, and
/// write branches, of which the verifier goes both ways.
#[inline(always)]
fn opaque(number: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // SAFETY: moves a register to itself.
        unsafe {
            core::arch::asm!(
                "{number} = {number}",
                number = inout(reg) number,
                options(nomem, nostack, preserves_flags),
            );
        }
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    number
}

/// The part of a budget of one reason or rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EventSlot {
    /// Events not reported for their number, ever.
    pub lost: u64,
    /// Events reported.
    pub spent: EventSpent,
}

/// How much a CPU has reported of a kind.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EventBudget {
    /// Events not reported because the buffer to user space was full, ever; of both kinds, and
    /// counted with the first.
    pub full: u64,
    /// Events reported, of all slots.
    pub spent: EventSpent,
    /// By [`reason_slot`] and [`rule_slot`].
    pub slots: [EventSlot; EVENT_SLOTS as usize],
}

pod!(EventSpent: 8, EventSlot: 16, EventBudget: 16 + 16 * EVENT_SLOTS as usize);

// The most that the kernel has for one CPU (`PCPU_MIN_UNIT_SIZE` of linux/percpu.h).
const _: () = assert!(size_of::<EventBudget>() <= 32 << 10);

/// Whether one more event of a slot may be reported; it is counted either way.
///
/// A slot has half of the limit for itself, and beyond the limit, but for as many events
/// again, only the first of a slot in the window is reported. So nobody who floods one slot,
/// or some, hides what others begin with, and all of them together have twice the limit.
///
/// Without a branch: the verifier would go both ways from here on.
#[inline(always)]
pub fn spend(total: &mut EventSpent, slot: &mut EventSlot, window: u64, limit: u32) -> bool {
    let now = window << EventSpent::COUNT_BITS;
    let limit = u64::from(limit);
    let (used, all) = (slot.spent.within(now), total.within(now));
    // 1 if this is the first of the slot, else 0.
    let first = opaque(used.wrapping_sub(1) >> 63);
    let share = limit - limit / 2;
    let below = used.wrapping_sub(share) & all.wrapping_sub(limit << first);
    // Both differences are negative: 1, else 0.
    let may = opaque(below >> 63);
    slot.lost += 1 ^ may;
    slot.spent = EventSpent(now + used + may);
    *total = EventSpent(now + all + may);
    may != 0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LIMIT: u32 = 8;

    struct Budget {
        total: EventSpent,
        slots: Vec<EventSlot>,
    }

    impl Budget {
        fn new() -> Self {
            Self {
                total: EventSpent::default(),
                slots: vec![EventSlot::default(); 100],
            }
        }

        fn spend(&mut self, slot: usize, window: u64) -> bool {
            spend(&mut self.total, &mut self.slots[slot], window, LIMIT)
        }

        fn times(&mut self, slot: usize, window: u64, times: usize) -> usize {
            (0..times).filter(|_| self.spend(slot, window)).count()
        }
    }

    #[test]
    fn a_flood_on_one_slot_leaves_the_others_theirs() {
        let mut budget = Budget::new();
        for window in 7..9 {
            assert_eq!(budget.times(0, window, 1_000), 4);
            assert_eq!(budget.times(1, window, 3), 3);
            assert_eq!(budget.times(2, window, 1), 1);
        }
        let lost: Vec<_> = budget.slots.iter().map(|slot| slot.lost).collect();
        assert_eq!(lost[..3], [2 * 996, 0, 0]);
    }

    #[test]
    fn floods_on_some_slots_leave_the_others_their_first() {
        let mut budget = Budget::new();
        let floods: usize = (0..3).map(|slot| budget.times(slot, 1, 100)).sum();
        // The third flood has had its first event, too.
        assert_eq!(floods, 9);
        for slot in 3..10 {
            assert_eq!(budget.times(slot, 1, 2), 1, "{slot}");
        }
        // Twice the limit is all that there is.
        assert_eq!(
            budget.total.within(1 << EventSpent::COUNT_BITS),
            u64::from(2 * LIMIT)
        );
        assert_eq!(budget.times(10, 1, 1), 0);
        assert_eq!(budget.slots[10].lost, 1);
        assert!(budget.spend(10, 2));
    }

    #[test]
    fn without_a_limit_everything_and_with_none_nothing_is_reported() {
        let (mut total, mut slot) = (EventSpent::default(), EventSlot::default());
        for _ in 0..1_000 {
            assert!(spend(&mut total, &mut slot, 0, u32::MAX));
            assert!(!spend(
                &mut EventSpent::default(),
                &mut EventSlot::default(),
                0,
                0
            ));
        }
        assert!(spend(
            &mut EventSpent::default(),
            &mut EventSlot::default(),
            5,
            1
        ));
    }

    #[test]
    fn each_slot_knows_what_it_is_of() {
        let mut seen = BTreeSet::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            for (reason, ..) in DROP_REASONS {
                let slot = reason_slot(direction, reason);
                assert_eq!(
                    SlotOwner::of(slot),
                    Some(SlotOwner::Reason(direction, reason))
                );
                assert!(seen.insert(slot));
            }
        }
        for generation in 0..GENERATIONS {
            for first in 0..EVENT_RULES as u16 {
                let slot = rule_slot(generation, first);
                assert_eq!(
                    SlotOwner::of(slot),
                    Some(SlotOwner::Rules { generation, first })
                );
                assert!(slot < EVENT_SLOTS && seen.insert(slot));
                assert_eq!(rule_slot(generation, first + EVENT_RULES as u16), slot);
            }
        }
        assert_eq!(SlotOwner::of(EVENT_SLOTS), None);
    }
}
