//! Reported flows, by something that others choose: bounded, whatever comes.

use std::collections::BTreeMap;

/// What was reported of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// New connections that were allowed.
    pub new: u64,
    /// Packets that were dropped, or would have been.
    pub denied: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.new += other.new;
        self.denied += other.denied;
    }

    fn total(self) -> u64 {
        self.new + self.denied
    }
}

/// One key in all the time, and since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// Since the beginning.
    pub ever: Tally,
    /// Since [`Tallies::close`].
    pub lately: Tally,
}

impl Both {
    fn add(&mut self, other: Self) {
        self.ever.add(other.ever);
        self.lately.add(other.lately);
    }
}

/// A bounded number of keys; what is pushed out goes on to count as "others".
#[derive(Clone, Debug)]
pub struct Tallies<K> {
    rows: BTreeMap<K, (Both, u64)>,
    capacity: usize,
    others: Both,
    /// Reports so far: the age of a row.
    clock: u64,
}

impl<K: Ord + Clone> Tallies<K> {
    /// For so many keys, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            capacity: capacity.max(1),
            others: Both::default(),
            clock: 0,
        }
    }

    /// Counts a report. Where there is no room for its key, the one of which least was reported
    /// gives way, of equals the one that is silent for longest: a flood from ever new sources
    /// displaces itself, and whoever sends much stays.
    pub fn count(&mut self, key: K, report: Tally) {
        self.clock += 1;
        if !self.rows.contains_key(&key) && self.rows.len() >= self.capacity {
            let least = |(_, (both, heard)): &(&K, &(Both, u64))| (both.ever.total(), *heard);
            let least = self.rows.iter().min_by_key(least).map(|(key, _)| key);
            if let Some((both, _)) = least.cloned().and_then(|key| self.rows.remove(&key)) {
                self.others.add(both);
            }
        }
        let (both, heard) = self.rows.entry(key).or_default();
        both.add(Both {
            ever: report,
            lately: report,
        });
        *heard = self.clock;
    }

    /// Every key, and at the end what has none any more, if there was any.
    pub fn rows(&self) -> impl Iterator<Item = (Option<&K>, Both)> {
        let named = self.rows.iter().map(|(key, (both, _))| (Some(key), *both));
        let others = (self.others != Both::default()).then_some((None, self.others));
        named.chain(others)
    }

    /// Begins a new interval.
    pub fn close(&mut self) {
        let rows = self.rows.values_mut().map(|(both, _)| both);
        for both in rows.chain([&mut self.others]) {
            both.lately = Tally::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Tally = Tally { new: 1, denied: 0 };
    const DENIED: Tally = Tally { new: 0, denied: 1 };

    fn sum(tallies: &Tallies<u32>) -> (u64, u64) {
        let rows = tallies.rows().map(|(_, both)| both);
        rows.fold((0, 0), |(ever, lately), both| {
            (ever + both.ever.total(), lately + both.lately.total())
        })
    }

    #[test]
    fn a_flood_of_new_keys_displaces_itself_and_is_counted() {
        let mut tallies = Tallies::new(4);
        for round in 0..1_000 {
            tallies.count(7, DENIED);
            tallies.count(100 + round, DENIED);
            assert!(tallies.rows.len() <= 4);
        }
        assert_eq!(sum(&tallies), (2_000, 2_000));
        let heavy = tallies.rows().find(|(key, _)| *key == Some(&7)).unwrap().1;
        assert_eq!(heavy.ever.denied, 1_000);
        let others = tallies.rows().last().unwrap();
        assert_eq!((others.0, others.1.ever.denied), (None, 997));
    }

    #[test]
    fn who_begins_late_gets_a_row() {
        let mut tallies = Tallies::new(2);
        (0..100).for_each(|key| tallies.count(key, NEW));
        (0..50).for_each(|_| tallies.count(500, DENIED));
        let late = tallies.rows().find(|(key, _)| *key == Some(&500)).unwrap();
        assert_eq!(late.1.ever, Tally { new: 0, denied: 50 });
    }

    #[test]
    fn an_interval_ends_and_the_whole_goes_on() {
        let mut tallies = Tallies::new(1);
        tallies.count(1, NEW);
        tallies.count(2, NEW);
        assert_eq!(sum(&tallies), (2, 2));
        tallies.close();
        assert_eq!(sum(&tallies), (2, 0));
        tallies.count(2, NEW);
        assert_eq!(sum(&tallies), (3, 1));
    }
}
