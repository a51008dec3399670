//! Sets of small numbers, and the numbering of distinct sets in order of appearance.

use std::collections::HashMap;

/// A set of numbers below a bound that all sets of one kind share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// The empty set of numbers below `bound`.
    pub(super) fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    pub(super) fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(super) fn remove(&mut self, number: usize) {
        self.0[number / 64] &= !(1 << (number % 64));
    }

    /// Takes a member away, or adds what is none.
    pub(super) fn flip(&mut self, number: usize) {
        self.0[number / 64] ^= 1 << (number % 64);
    }

    /// Leaves only the members of another set.
    pub(super) fn intersect(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word &= more;
        }
    }

    /// Adds the members of another set.
    pub(super) fn union(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// The members, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(i, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                Some(i * 64 + bit)
            })
        })
    }
}

/// A set that is built and taken apart again, where a number may have been added
/// several times.
pub(super) struct Counted {
    bits: Bits,
    counts: Vec<u32>,
}

impl Counted {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            bits: Bits::new(bound),
            counts: vec![0; bound],
        }
    }

    pub(super) fn add(&mut self, number: usize) {
        self.counts[number] += 1;
        self.bits.insert(number);
    }

    pub(super) fn take(&mut self, number: usize) {
        self.counts[number] -= 1;
        if self.counts[number] == 0 {
            self.bits.remove(number);
        }
    }

    pub(super) fn bits(&self) -> &Bits {
        &self.bits
    }
}

/// Numbers distinct values in the order in which they first appear.
pub(super) struct Interner<T> {
    numbers: HashMap<T, u32>,
    values: Vec<T>,
}

impl<T: Clone + Eq + std::hash::Hash> Interner<T> {
    pub(super) fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            values: Vec::new(),
        }
    }

    pub(super) fn number(&mut self, value: &T) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number =
            u32::try_from(self.values.len()).expect("fewer than 2^32 values fit in memory");
        self.numbers.insert(value.clone(), number);
        self.values.push(value.clone());
        number
    }

    /// The value with a number.
    pub(super) fn value(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    pub(super) fn into_values(self) -> Vec<T> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_in_order() {
        let mut bits = Bits::new(200);
        for number in [199, 0, 64, 63] {
            bits.insert(number);
        }
        bits.flip(64);
        bits.flip(65);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 65, 199]);
        let mut few = Bits::new(200);
        few.insert(65);
        few.insert(1);
        bits.intersect(&few);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [65]);
    }

    #[test]
    fn what_was_added_twice_must_be_taken_twice() {
        let mut counted = Counted::new(3);
        counted.add(2);
        counted.add(2);
        counted.take(2);
        assert_eq!(counted.bits().iter().collect::<Vec<_>>(), [2]);
        counted.take(2);
        assert_eq!(counted.bits().iter().count(), 0);
    }
}
