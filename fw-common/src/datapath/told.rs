//! Flows that were reported of late, so that what begins is told from what goes on where no
//! connection is remembered: of all that is not TCP.
//!
//! An array of buckets without locks, like that of connections ([`super::flows`]). A flow is
//! one word, so that none is seen by halves; of a full bucket the one gives way that was
//! seen last the longest ago. Nothing but reports depends on it: of two CPUs that see the
//! first packets of a flow at once, both may report it.

use core::marker::PhantomData;

use super::flows::{all_ones_if_negative, all_ones_if_zero, through_memory};
use super::tables::Tables;
use crate::wire::{TOLD_SECONDS, TOLD_SLOTS, TOLD_TURN_SHIFT, ToldBucket, told_bucket};

/// Whether the flow of this hash was seen here in the last [`TOLD_SECONDS`], and its turn to
/// be reported again has not come since; from now on it was.
#[inline(always)]
#[must_use]
pub fn is_told<T: Tables>(tables: &T, hash: u64, now: u32) -> bool {
    match tables.told(told_bucket(hash)) {
        Some(told) => told.see(hash as u32 | 1, now),
        None => false,
    }
}

/// A bucket that others change meanwhile.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    memory: *mut ToldBucket,
    lives: PhantomData<&'a ToldBucket>,
}

impl Told<'_> {
    /// The bucket at `memory`.
    ///
    /// # Safety
    /// `memory` is a [`ToldBucket`] for the lifetime, and whoever else touches it does so
    /// word by word (through this type, or as the kernel copies).
    #[inline(always)]
    pub const unsafe fn new(memory: *mut ToldBucket) -> Self {
        Self {
            memory,
            lives: PhantomData,
        }
    }

    /// Forgets all.
    pub fn clear(self) {
        for slot in 0..TOLD_SLOTS {
            self.set_word(slot, 0);
        }
    }

    /// Whether the flow was seen of late. Writes at most once a second and flow.
    #[inline(always)]
    fn see(self, tag: u32, now: u32) -> bool {
        let word = u64::from(tag) << 32 | u64::from(now);
        // Where it is in a table that is not full: then the others are not looked at.
        let home = (tag >> 1) as usize % TOLD_SLOTS;
        let slot = if self.word(home) >> 32 == u64::from(tag) {
            home
        } else {
            self.slot_for(home, word, now)
        };
        let there = self.word(slot);
        if there == word {
            return true;
        }
        self.set_word(slot, word);
        (there ^ word) >> 32 == 0
            && age(there, now) <= u64::from(TOLD_SECONDS)
            && turn(tag, there as u32) == turn(tag, now)
    }

    /// Where the flow of this word is; else where it may be put: the next slot from `home` on
    /// that nobody is in, or has been in of late, else that of who was silent for longest.
    #[inline(always)]
    fn slot_for(self, home: usize, word: u64, now: u32) -> usize {
        let mut most = 0_u64;
        for distance in 0..TOLD_SLOTS {
            let there = self.word(home + distance);
            let same = all_ones_if_zero(((there ^ word) >> 32) as u32);
            let free = all_ones_if_zero((there >> 32) as u32);
            let age = age(there, now);
            let over = free | all_ones_if_negative(u64::from(TOLD_SECONDS).wrapping_sub(age));
            let rank = first(same) << SAME | first(over) << FREE | age & !over;
            let rank = rank << 3 | (TOLD_SLOTS - 1 - distance) as u64;
            // The larger of two, without a branch; none is near the sign bit.
            let more = most.wrapping_sub(rank);
            most = most.wrapping_sub(more & all_ones_if_negative(more));
        }
        let distance = TOLD_SLOTS - 1 - most as usize % TOLD_SLOTS;
        through_memory((home + distance) as u32)
    }

    #[inline(always)]
    fn word(self, slot: usize) -> u64 {
        // SAFETY: inside the bucket, which lives; see `new`.
        unsafe { (&raw const (*self.memory).0[slot % TOLD_SLOTS]).read_volatile() }
    }

    #[inline(always)]
    fn set_word(self, slot: usize, word: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.memory).0[slot % TOLD_SLOTS]).write_volatile(word) }
    }
}

/// A bit above any age.
const FREE: u32 = 32;
/// Above that.
const SAME: u32 = 33;

/// 1 of all ones, else 0. Not `&`: the kernel's verifier would follow both.
#[inline(always)]
const fn first(mask: u64) -> u64 {
    mask >> 63
}

/// Which turn it is of a flow to be reported, though it only goes on: else user space would
/// forget in the end that there is such traffic. Not that of all at once.
#[inline(always)]
const fn turn(tag: u32, seconds: u32) -> u32 {
    tag.wrapping_add(seconds) >> TOLD_TURN_SHIFT
}

/// Seconds since the flow of this word was seen; 0 if another CPU's clock was ahead.
#[inline(always)]
fn age(word: u64, now: u32) -> u64 {
    let age = u64::from(now).wrapping_sub(word & 0xffff_ffff);
    age & !all_ones_if_negative(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a turn begins.
    const NOW: u32 = 4_000 << TOLD_TURN_SHIFT;

    fn in_a_bucket(test: impl FnOnce(Told<'_>)) {
        let mut memory = ToldBucket::default();
        // SAFETY: a local variable that nobody else touches.
        test(unsafe { Told::new(&raw mut memory) });
    }

    #[test]
    fn a_flow_is_told_once_until_it_is_silent() {
        in_a_bucket(|told| {
            assert!(!told.see(7, NOW));
            assert!(told.see(7, NOW));
            assert!(!told.see(9, NOW), "another flow");
            let mut now = NOW;
            for _ in 0..4 {
                now += TOLD_SECONDS;
                assert!(told.see(7, now), "each packet counts");
            }
            now += TOLD_SECONDS + 1;
            assert!(!told.see(7, now));
            assert!(told.see(7, now));
        });
    }

    #[test]
    fn a_flow_that_goes_on_is_told_again_in_its_turn() {
        const PERIOD: u32 = 1 << TOLD_TURN_SHIFT;
        let told_at = |tag: u32| {
            let mut at = Vec::new();
            in_a_bucket(|told| {
                let seconds = (NOW..NOW + 4 * PERIOD).step_by(10);
                at.extend(seconds.filter(|now| !told.see(tag, *now)));
            });
            at
        };
        let (one, other) = (told_at(7), told_at(7 + PERIOD / 2));
        // When it begins, and in four turns.
        assert_eq!((one.len(), other.len()), (5, 5));
        assert!(one[2] - one[1] <= PERIOD + 10 && one[2] - one[1] >= PERIOD - 10);
        assert!(one[1].abs_diff(other[1]) > PERIOD / 4, "not all at once");
    }

    #[test]
    fn the_clock_of_another_cpu_may_be_ahead() {
        in_a_bucket(|told| {
            assert!(!told.see(7, NOW + 1));
            assert!(told.see(7, NOW));
        });
    }

    #[test]
    fn at_the_first_second_of_the_clock_a_bucket_is_empty() {
        in_a_bucket(|told| {
            assert!(!told.see(1, 0));
            assert!(told.see(1, 0));
        });
    }

    #[test]
    fn who_was_silent_for_longest_gives_way() {
        in_a_bucket(|told| {
            let flows = TOLD_SLOTS as u32;
            for flow in 0..flows {
                assert!(!told.see(2 * flow + 1, NOW + flow));
            }
            let now = NOW + flows;
            assert!(
                told.see(1, now),
                "the first is there still, and now the last"
            );
            assert!(!told.see(101, now));
            assert!(!told.see(3, now), "the second was the oldest");
            assert!(told.see(1, now));
        });
    }

    #[test]
    fn who_was_silent_for_a_minute_gives_way_before_others() {
        in_a_bucket(|told| {
            let flows = TOLD_SLOTS as u32;
            // All want the same slot.
            let tag = |flow: u32| flow * 2 * flows + 1;
            for flow in 0..flows {
                let seen = if flow == 5 {
                    NOW - TOLD_SECONDS - 1
                } else {
                    NOW
                };
                assert!(!told.see(tag(flow), seen));
            }
            assert!(!told.see(tag(flows), NOW));
            for flow in (0..=flows).filter(|flow| *flow != 5) {
                assert!(told.see(tag(flow), NOW), "{flow}");
            }
        });
    }

    #[test]
    fn a_flow_is_at_home_where_there_is_room() {
        let mut memory = ToldBucket::default();
        // SAFETY: as above.
        let told = unsafe { Told::new(&raw mut memory) };
        for tag in [1, 3, 5, 15] {
            assert!(!told.see(tag, NOW));
            assert_eq!(told.word(tag as usize >> 1) >> 32, u64::from(tag));
        }
    }

    #[test]
    fn what_is_cleared_is_new() {
        in_a_bucket(|told| {
            assert!(!told.see(7, NOW));
            told.clear();
            assert!(!told.see(7, NOW));
        });
    }
}
