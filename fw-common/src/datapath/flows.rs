//! The table of connections: buckets of eight in an array, read and written by all
//! CPUs at once without a lock.
//!
//! The kernel's LRU hash map would do, at a price: its lookup hashes with rounds, its
//! insertion takes locks, and when it is full it forgets what was not used for longest,
//! so that a flood of half-open connections drives out idle established ones. Here the
//! connection with the least time left gives way, and that of an unanswered one is a
//! minute at most: floods displace each other.
//!
//! What other CPUs write meanwhile can do no harm. A slot is written tag last and read
//! tag first, so that what is found under a tag is a key with its state; where a weaker
//! memory order or two writers at once mix two keys, the tag does not fit the mixture,
//! or nobody asks for it. Then a connection is not found, and its next packet makes it
//! known again.

use core::marker::PhantomData;

use crate::wire::{FLOW_SLOTS, FlowBucket, FlowKey, FlowState};

/// A bucket that others change meanwhile.
#[derive(Clone, Copy)]
pub struct Bucket<'a> {
    memory: *mut FlowBucket,
    lives: PhantomData<&'a FlowBucket>,
}

/// A connection that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    slot: usize,
    /// What is remembered of it.
    pub state: FlowState,
}

impl<'a> Bucket<'a> {
    /// The bucket at `memory`.
    ///
    /// # Safety
    /// `memory` is a [`FlowBucket`] for `'a`, and whoever else touches it does so word
    /// by word (through this type, or as the kernel copies).
    #[inline(always)]
    pub const unsafe fn new(memory: *mut FlowBucket) -> Self {
        Self {
            memory,
            lives: PhantomData,
        }
    }

    /// The connection of this key.
    #[inline(always)]
    #[must_use]
    pub fn find(self, tag: u32, key: &[u64; FlowKey::WORDS]) -> Option<Found> {
        let mut slot = 0;
        for other in 0..FLOW_SLOTS {
            let same = all_ones_if_zero(self.tag(other) ^ tag);
            slot = slot & !same | other as u64 & same;
        }
        let slot = through_memory(slot as u32);
        // Tag, state, key: in the opposite order of writing.
        if self.tag(slot) != tag {
            return None;
        }
        let state = self.state(slot);
        let mut different = 0;
        for (word, wanted) in key.iter().enumerate() {
            different |= self.word(slot, word) ^ again(wanted);
        }
        (different == 0).then_some(Found { slot, state })
    }

    /// Gives what was found another state.
    #[inline(always)]
    pub fn update(self, found: Found, state: FlowState) {
        self.set_state(found.slot, state);
    }

    /// Remembers a connection that was not found, in place of the one with the least
    /// time left. True if that had some.
    #[inline(always)]
    pub fn insert(self, tag: u32, key: &[u64; FlowKey::WORDS], state: FlowState, now: u32) -> bool {
        // Time left above the number of the slot: the least of all tells which.
        let mut least = u64::MAX >> 1;
        for slot in 0..FLOW_SLOTS {
            let free = all_ones_if_zero(self.tag(slot));
            let left = i64::from(self.state(slot).time_left(now)) - i64::from(i32::MIN);
            let rank = (left as u64 & !free) << 3 | slot as u64;
            // The smaller of two, without a branch (Hacker's Delight 2-19): both are
            // far from the sign bit.
            let less = rank.wrapping_sub(least);
            least = least.wrapping_add(less & all_ones_if_negative(less));
        }
        let slot = through_memory(least as u32);
        let displaced = least >> 3 >= i32::MIN.unsigned_abs().into();
        self.set_tag(slot, 0);
        for (word, value) in key.iter().enumerate() {
            self.set_word(slot, word, again(value));
        }
        self.set_state(slot, state);
        self.set_tag(slot, tag);
        displaced
    }

    /// Forgets all; returns how many connections there were.
    pub fn clear(self) -> usize {
        let used = self.iter().count();
        for slot in 0..FLOW_SLOTS {
            self.set_tag(slot, 0);
        }
        used
    }

    /// What is in it.
    pub fn iter(self) -> impl Iterator<Item = (FlowKey, FlowState)> + 'a {
        (0..FLOW_SLOTS).filter_map(move |slot| {
            let tag = self.tag(slot);
            // As most are.
            if tag == 0 {
                return None;
            }
            let state = self.state(slot);
            let key = core::array::from_fn(|word| self.word(slot, word));
            // The same before and after: nobody has written it meanwhile.
            (self.tag(slot) == tag).then(|| (FlowKey::from_words(&key), state))
        })
    }

    #[inline(always)]
    fn tag(self, slot: usize) -> u32 {
        // SAFETY: inside the bucket, which lives; see `new`.
        unsafe { (&raw const (*self.memory).tags[slot % FLOW_SLOTS]).read_volatile() }
    }

    #[inline(always)]
    fn set_tag(self, slot: usize, tag: u32) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.memory).tags[slot % FLOW_SLOTS]).write_volatile(tag) }
    }

    #[inline(always)]
    fn state(self, slot: usize) -> FlowState {
        // SAFETY: as above.
        FlowState(unsafe { (&raw const (*self.memory).states[slot % FLOW_SLOTS]).read_volatile() })
    }

    #[inline(always)]
    fn set_state(self, slot: usize, state: FlowState) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.memory).states[slot % FLOW_SLOTS]).write_volatile(state.0) }
    }

    #[inline(always)]
    fn word(self, slot: usize, word: usize) -> u64 {
        // SAFETY: as above; `word` is below the length of a key.
        unsafe { (&raw const (*self.memory).keys[slot % FLOW_SLOTS][word]).read_volatile() }
    }

    #[inline(always)]
    fn set_word(self, slot: usize, word: usize, value: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.memory).keys[slot % FLOW_SLOTS][word]).write_volatile(value) }
    }
}

/// A word of a key, read anew, so that the compiler keeps no copies on the stack.
#[inline(always)]
fn again(word: &u64) -> u64 {
    // SAFETY: a reference.
    unsafe { (&raw const *word).read_volatile() }
}

/// All ones for 0, else 0.
#[inline(always)]
pub(super) fn all_ones_if_zero(number: u32) -> u64 {
    all_ones_if_negative(u64::from(number).wrapping_sub(1))
}

/// All ones if the sign bit is set, else 0: a condition to calculate with. In the kernel
/// it is written as the instruction that it is, because the compiler makes branches of
/// what it understands, of which the verifier then follows both ways.
#[inline(always)]
pub(super) fn all_ones_if_negative(number: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // SAFETY: one instruction on a register.
        unsafe {
            core::arch::asm!("{0} s>>= 63", inout(reg) number, options(nomem, nostack, pure));
        };
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        (number.cast_signed() >> 63).cast_unsigned()
    }
}

/// The number, of which the kernel's verifier does not know any more how it came about:
/// else it would follow what comes next for each slot apart. It remembers what is stored
/// where a word of the stack begins, so this is the upper half of one.
#[inline(always)]
pub(super) fn through_memory(number: u32) -> usize {
    #[repr(align(8))]
    struct Word([u32; 2]);
    let mut word = Word([0; 2]);
    let half = &raw mut word.0[1];
    // SAFETY: a local variable.
    unsafe {
        half.write_volatile(number);
        half.read_volatile() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Origin, Phase};

    fn key(number: u64) -> [u64; FlowKey::WORDS] {
        [number, 2, 3, 4, 5]
    }

    fn state(now: u32, phase: Phase) -> FlowState {
        FlowState::new(now, Origin::Local, phase)
    }

    #[test]
    fn what_was_remembered_is_found_and_nothing_else() {
        let mut memory = FlowBucket::EMPTY;
        // SAFETY: a local variable that nobody else touches.
        let bucket = unsafe { Bucket::new(&raw mut memory) };
        assert_eq!(bucket.find(7, &key(1)), None);
        for number in 0..8 {
            // All of one tag but the last: the keys decide.
            let tag = if number == 7 {
                9
            } else {
                2 * number as u32 + 11
            };
            assert!(!bucket.insert(tag, &key(number), state(5, Phase::Asking), 5));
        }
        let found = bucket.find(9, &key(7)).unwrap();
        assert_eq!(found.state, state(5, Phase::Asking));
        assert_eq!(bucket.find(9, &key(1)), None, "another key under the tag");
        assert_eq!(bucket.find(11, &key(7)), None, "another tag");
        bucket.update(found, state(6, Phase::Answered));
        assert_eq!(
            bucket.find(9, &key(7)).unwrap().state,
            state(6, Phase::Answered)
        );
        assert_eq!(bucket.iter().count(), 8);
        assert_eq!(bucket.clear(), 8);
        assert_eq!(bucket.find(9, &key(7)), None);
    }

    #[test]
    fn the_one_with_the_least_time_left_gives_way() {
        let mut memory = FlowBucket::EMPTY;
        // SAFETY: a local variable that nobody else touches.
        let bucket = unsafe { Bucket::new(&raw mut memory) };
        let phases = [
            Phase::Established,
            Phase::Answered,
            Phase::Opening,
            Phase::Established,
            Phase::Icmp,
            Phase::Established,
            Phase::Closing,
            Phase::Established,
        ];
        for (number, phase) in (0..).zip(phases) {
            bucket.insert(
                number as u32 * 2 + 1,
                &key(number),
                state(1_000, phase),
                1_000,
            );
        }
        // At 1,020 the closing one has expired: nobody is displaced for that.
        assert!(!bucket.insert(101, &key(20), state(1_020, Phase::Opening), 1_020));
        assert_eq!(bucket.find(13, &key(6)), None);
        // Then the echo (10 s left), then the opening one (40).
        assert!(bucket.insert(103, &key(21), state(1_020, Phase::Opening), 1_020));
        assert_eq!(bucket.find(9, &key(4)), None);
        assert!(bucket.insert(105, &key(22), state(1_021, Phase::Opening), 1_021));
        assert_eq!(bucket.find(5, &key(2)), None);
        // From here on the newcomers displace each other: what is established stays.
        for number in 0..1_000 {
            let tag = 1_001 + 2 * number as u32;
            assert!(bucket.insert(tag, &key(100 + number), state(1_022, Phase::Opening), 1_022));
        }
        for number in [0, 3, 5, 7] {
            assert!(bucket.find(number as u32 * 2 + 1, &key(number)).is_some());
        }
        assert!(bucket.find(3, &key(1)).is_some(), "answered, 158 s left");
    }
}
