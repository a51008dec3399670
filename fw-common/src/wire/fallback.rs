//! A generation on trial: unless somebody confirms it in time, packets go back to the
//! one before.
//!
//! The deadline is kept by the datapath itself, so that it also holds when whoever set it
//! is dead by then. Only while a generation is on trial does a packet look here: a bit
//! of [`ActiveWord`] says so.

use super::{ActiveWord, pod};

/// Where packets go when nobody confirms, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Fallback {
    /// Nanoseconds of the monotonic clock.
    pub deadline: u64,
    /// The word that was in force before: its generation and whether that has single
    /// addresses. What else it says may have changed since.
    pub word: ActiveWord,
    /// Zero.
    pub pad: u32,
}

pod!(Fallback: 16);

impl Fallback {
    /// The word that a packet goes by which finds `word`, on trial, at `now`.
    #[inline(always)]
    #[must_use]
    pub const fn resolve(&self, word: ActiveWord, now: u64) -> ActiveWord {
        if now < self.deadline {
            word
        } else {
            word.back_to(self.word)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_deadline_the_generation_before_is_in_force() {
        let before = ActiveWord::new(1)
            .with(ActiveWord::SINGLES, true)
            .with(ActiveWord::BANS, true);
        let fallback = Fallback {
            deadline: 100,
            word: before,
            pad: 0,
        };
        // Since then the last ban was lifted, and a network became the node's.
        let word = before
            .at(0)
            .with(ActiveWord::ON_TRIAL, true)
            .with(ActiveWord::BANS, false)
            .with(ActiveWord::LOCAL_PREFIXES, true);
        assert_eq!(fallback.resolve(word, 99), word);
        assert_eq!(word.index(), 0);
        let back = fallback.resolve(word, 100);
        assert_eq!(back.index(), 1);
        assert!(back.asks(ActiveWord::SINGLES) && back.asks(ActiveWord::LOCAL_PREFIXES));
        assert!(!back.asks(ActiveWord::BANS) && !back.asks(ActiveWord::ON_TRIAL));
    }
}
