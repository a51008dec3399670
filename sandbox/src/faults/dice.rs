//! What is left to chance, and comes out the same for the same seed.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood 2014): as good as is needed here, in four lines.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Those of one fault of a run, whatever was thrown for the others.
    #[must_use]
    pub fn of(seed: u64, number: usize) -> Self {
        let mut dice = Self(seed);
        dice.0 = dice.throw() ^ number as u64;
        dice.throw();
        dice
    }

    /// Any number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.throw() % limit as u64) as usize
    }

    /// In `percent` of all cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A time from `least` to `most`, in microseconds.
    pub fn span(&mut self, least: Duration, most: Duration) -> Duration {
        let micros = most.saturating_sub(least).as_micros() as usize;
        least + Duration::from_micros(self.below(micros + 1) as u64)
    }

    /// Another order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_it_all_and_faults_differ() {
        let throws = |seed, number| {
            let mut dice = Dice::of(seed, number);
            [dice.throw(), dice.throw()]
        };
        assert_eq!(throws(7, 3), throws(7, 3));
        assert_ne!(throws(7, 3), throws(7, 4));
        assert_ne!(throws(7, 3), throws(8, 3));
    }

    #[test]
    fn limits_are_kept_and_reached() {
        let mut dice = Dice::of(1, 1);
        let mut seen = [0; 5];
        for _ in 0..1_000 {
            seen[dice.below(5)] += 1;
            let span = dice.span(Duration::from_millis(2), Duration::from_millis(3));
            assert!((2_000..=3_000).contains(&span.as_micros()));
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
    }

    #[test]
    fn shuffling_loses_nothing() {
        let mut items: Vec<_> = (0..50).collect();
        Dice::of(1, 1).shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert!(items.into_iter().eq(0..50));
    }
}
