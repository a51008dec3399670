//! Rate limits of rules: who has passed too much of late.
//!
//! Asked only where the matrix says that a rule with a limit decides, so that other
//! traffic does not pay for it.
//!
//! The table is an array of buckets without locks, like that of connections
//! ([`super::flows`]). When a bucket is full, the peer that has least to wait until it
//! would be forgotten gives way, but who is at the limit only if all are, and then who
//! came there last: however many come, and how often each, they displace each other, and
//! nobody who was at the limit before them. CPUs that judge packets of one peer at the same moment may each
//! let one pass before they see each other's; because they all count it, it is
//! missing later.

use core::marker::PhantomData;

use super::case::Case;
use super::flow::Flow;
use super::flows::{all_ones_if_negative, through_memory};
use super::tables::Tables;
use crate::packet::Packet;
use crate::packet::transport::TCP;
use crate::wire::{L4, RATE_SLOTS, RateBucket, RateLimit, rule_index};

/// Whether the packet is one too many by the limit of `rule`; if not, it is counted.
#[inline(always)]
pub(super) fn is_exceeded<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    rule: u16,
) -> bool {
    let [a, b, c, d] = flow.peer().0;
    case.tables.is_rate_exceeded(Question {
        rule: rule_index(case.view.index, rule),
        generation: case.view.index,
        family: case.family,
        protocol: flow.l4.protocol,
        tcp_flags: flow.l4.tcp_flags,
        peer: [join(a, b), join(c, d)],
    })
}

/// What a limit is asked.
#[derive(Clone, Copy)]
pub struct Question {
    /// The [`rule_index`].
    pub rule: u32,
    /// Which generation.
    pub generation: u32,
    /// 4 or 6.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// Upper and lower half of the address of the peer, as numbers.
    pub peer: [u64; 2],
}

/// Answers it. What cannot be found is exceeded.
///
/// Limits count of TCP what would begin a connection, so that none is cut that was
/// admitted; of other protocols every packet.
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, question: Question) -> bool {
    let l4 = L4 {
        protocol: question.protocol,
        tcp_flags: question.tcp_flags,
        ..L4::default()
    };
    if l4.protocol == TCP && !l4.is_pure_syn() {
        return false;
    }
    let Some(limit) = tables.rate_limit(question.rule) else {
        return true;
    };
    let Some(now) = tables.clock_of(question.generation) else {
        return true;
    };
    let Some(seeds) = tables.flow_seeds() else {
        return true;
    };
    let [high, low] = limit.network(question.family, question.peer);
    let hash = seeds.rate_hash(&[limit.key.into(), high, low]);
    let Some(bucket) = tables.rate_bucket(seeds.rate_bucket(hash)) else {
        return true;
    };
    !bucket.admits(hash, limit, now)
}

/// Two words of an address, as they lie in memory, as a number.
#[inline(always)]
const fn join(high: u32, low: u32) -> u64 {
    (high.to_be() as u64) << 32 | low.to_be() as u64
}

/// A bucket that others change meanwhile.
#[derive(Clone, Copy)]
pub struct Peers<'a> {
    memory: *mut RateBucket,
    lives: PhantomData<&'a RateBucket>,
}

impl Peers<'_> {
    /// The bucket at `memory`.
    ///
    /// # Safety
    /// `memory` is a [`RateBucket`] for the lifetime, and whoever else touches it does
    /// so word by word (through this type, or as the kernel copies).
    #[inline(always)]
    pub const unsafe fn new(memory: *mut RateBucket) -> Self {
        Self {
            memory,
            lives: PhantomData,
        }
    }

    /// Whether the peer may pass at `now`; if so, that is counted.
    #[inline(always)]
    #[must_use]
    pub fn admits(self, hash: u64, limit: &RateLimit, now: u64) -> bool {
        let slot = self.slot_of(hash);
        if self.hash(slot) != hash {
            self.begin(hash, limit, now);
            return true;
        }
        let due = self.due(slot);
        // Signed: it may be ahead or behind, by less than 68 years.
        let ahead = due.wrapping_sub(now).cast_signed();
        if ahead > limit.tolerance.cast_signed() {
            return false;
        }
        if ahead <= 0 {
            self.set_due(slot, now.wrapping_add(limit.interval));
        } else {
            self.postpone(slot, limit.interval);
        }
        true
    }

    /// Where the peer is, if it is here.
    #[inline(always)]
    fn slot_of(self, hash: u64) -> usize {
        let mut slot = 0;
        for other in 0..RATE_SLOTS {
            let difference = self.hash(other) ^ hash;
            let differs = all_ones_if_negative(difference | difference.wrapping_neg());
            slot = slot & differs | other as u64 & !differs;
        }
        through_memory(slot as u32)
    }

    /// Remembers a peer that is not here in place of the one that is due first; of peers
    /// at the limit, if all are, the one that is due last.
    #[inline(always)]
    fn begin(self, hash: u64, limit: &RateLimit, now: u64) {
        // Time left above the number of the slot, as in the table of connections. The
        // units below a few nanoseconds give way to the number.
        const NUMBER: u32 = RATE_SLOTS.trailing_zeros();
        let mut least = u64::MAX >> 1;
        for slot in 0..RATE_SLOTS {
            let ahead = self.due(slot).wrapping_sub(now);
            let beyond = ahead.wrapping_sub(limit.tolerance);
            let at_limit = all_ones_if_negative(limit.tolerance.wrapping_sub(ahead));
            // What is beyond counts from the other end. Not `&` with a constant: of what is
            // all ones or none, the kernel's verifier would then follow both.
            let left = (beyond ^ at_limit >> 1).cast_signed() >> (NUMBER + 1);
            let positive = left.wrapping_add(1 << (62 - NUMBER)).cast_unsigned();
            let rank = positive << NUMBER | slot as u64;
            let less = rank.wrapping_sub(least);
            least = least.wrapping_add(less & all_ones_if_negative(less));
        }
        let slot = through_memory(least as u32);
        // The hash last, so that what is found under it is its own.
        self.set_hash(slot, 0);
        self.set_due(slot, now.wrapping_add(limit.interval));
        self.set_hash(slot, hash);
    }

    #[inline(always)]
    fn hash(self, slot: usize) -> u64 {
        // SAFETY: inside the bucket, which lives; see `new`.
        unsafe { (&raw const (*self.memory).hashes[slot % RATE_SLOTS]).read_volatile() }
    }

    #[inline(always)]
    fn set_hash(self, slot: usize, hash: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.memory).hashes[slot % RATE_SLOTS]).write_volatile(hash) }
    }

    #[inline(always)]
    fn due(self, slot: usize) -> u64 {
        // SAFETY: as above.
        unsafe { (&raw const (*self.memory).due[slot % RATE_SLOTS]).read_volatile() }
    }

    #[inline(always)]
    fn set_due(self, slot: usize, due: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.memory).due[slot % RATE_SLOTS]).write_volatile(due) }
    }

    /// Adds to when it is due, whatever other CPUs add meanwhile.
    #[inline(always)]
    fn postpone(self, slot: usize, interval: u64) {
        // SAFETY: as above.
        let due = unsafe { &raw mut (*self.memory).due[slot % RATE_SLOTS] };
        // SAFETY: as above; aligned, being a field of an aligned structure.
        unsafe { add_atomically(due, interval) }
    }
}

/// Adds as one step.
///
/// # Safety
/// `place` is a word that lives, aligned.
#[inline(always)]
unsafe fn add_atomically(place: *mut u64, value: u64) {
    // The compiler knows no such operation for this target, the kernel does: since
    // ever, because nobody asks what the sum was.
    #[cfg(target_arch = "bpf")]
    // SAFETY: one instruction on that word.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({place} + 0) += {value}",
            place = in(reg) place,
            value = in(reg) value,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        use core::sync::atomic::{AtomicU64, Ordering};
        // SAFETY: the caller's promise.
        let word = unsafe { AtomicU64::from_ptr(place) };
        word.fetch_add(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::CLOCK_UNITS;

    /// Two a second, of which three may come at once.
    const LIMIT: RateLimit = RateLimit {
        interval: CLOCK_UNITS / 2,
        tolerance: CLOCK_UNITS,
        key: 0,
        prefix: [0; 2],
        pad: 0,
    };

    /// How many of ten that come at once are admitted.
    fn admitted(peers: Peers<'_>, hash: u64, now: u64) -> usize {
        (0..10).filter(|_| peers.admits(hash, &LIMIT, now)).count()
    }

    #[test]
    fn a_burst_passes_and_then_what_the_rate_gives() {
        let mut memory = RateBucket::default();
        // SAFETY: a local variable that nobody else touches.
        let peers = unsafe { Peers::new(&raw mut memory) };
        let mut now = 1_000 * CLOCK_UNITS;
        assert_eq!(admitted(peers, 7, now), 3);
        assert_eq!(admitted(peers, 9, now), 3, "another peer");
        now += CLOCK_UNITS / 2;
        assert_eq!(admitted(peers, 7, now), 1);
        now += CLOCK_UNITS;
        assert_eq!(admitted(peers, 7, now), 2);
        now += 1_000 * CLOCK_UNITS;
        assert_eq!(admitted(peers, 7, now), 3, "no more than a burst");
    }

    #[test]
    fn the_clock_may_wrap() {
        let mut memory = RateBucket::default();
        // SAFETY: as above.
        let peers = unsafe { Peers::new(&raw mut memory) };
        assert_eq!(admitted(peers, 7, u64::MAX - 5), 3);
        assert_eq!(admitted(peers, 7, CLOCK_UNITS / 2 - 5), 1);
    }

    #[test]
    fn who_is_furthest_ahead_stays_when_a_bucket_is_full() {
        let mut memory = RateBucket::default();
        // SAFETY: as above.
        let peers = unsafe { Peers::new(&raw mut memory) };
        let now = 1_000 * CLOCK_UNITS;
        assert_eq!(admitted(peers, 1, now), 3);
        for stranger in 2..1_000 {
            assert!(peers.admits(2 * stranger + 1, &LIMIT, now));
        }
        assert_eq!(admitted(peers, 1, now), 0);
    }

    #[test]
    fn who_was_at_the_limit_before_stays_until_something_comes_back() {
        let mut memory = RateBucket::default();
        // SAFETY: as above.
        let peers = unsafe { Peers::new(&raw mut memory) };
        let mut now = 1_000 * CLOCK_UNITS;
        assert_eq!(admitted(peers, 1, now), 3);
        for stranger in 2..1_000 {
            now += CLOCK_UNITS / 4_000;
            assert_eq!(admitted(peers, 2 * stranger + 1, now), 3);
        }
        assert_eq!(admitted(peers, 1, now), 0);
        now = 1_000 * CLOCK_UNITS + LIMIT.interval;
        assert_eq!(admitted(peers, 1, now), 1);
    }

    #[test]
    fn who_is_forgotten_gives_way_before_who_is_not() {
        let mut memory = RateBucket::default();
        // SAFETY: as above.
        let peers = unsafe { Peers::new(&raw mut memory) };
        let mut now = 1_000 * CLOCK_UNITS;
        assert!(peers.admits(1, &LIMIT, now));
        now += CLOCK_UNITS;
        for peer in 2..=RATE_SLOTS as u64 {
            assert_eq!(admitted(peers, peer, now), 3);
        }
        assert!(peers.admits(100, &LIMIT, now));
        for peer in 2..=RATE_SLOTS as u64 {
            assert_eq!(admitted(peers, peer, now), 0, "{peer}");
        }
    }
}
