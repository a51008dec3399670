//! Which plans packets may be judged by, from one moment to the next.

use std::time::Instant;

/// Nanoseconds since the [`Clock`] was made.
pub type Nanos = u64;

/// Number of a plan of the run.
pub type PlanId = usize;

/// The clock of a run: `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Its zero is now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Nanos {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What holds for packets from some moment on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The plans that each packet may be judged by, the older first.
    pub plans: Vec<PlanId>,
    /// It must be the same one for all packets: nobody changes anything meanwhile, only
    /// which one it is, is not known.
    pub single: bool,
    /// The way is cut: that a packet is lost says nothing.
    pub severed: bool,
    /// Somebody has taken the filter away: that a packet passes says nothing.
    pub open: bool,
}

impl Order {
    /// This plan and no other.
    #[must_use]
    pub fn of(plan: PlanId) -> Self {
        Self::any(vec![plan])
    }

    /// Any of these plans.
    #[must_use]
    pub fn any(mut plans: Vec<PlanId>) -> Self {
        let mut seen = Vec::new();
        plans.retain(|plan| {
            let new = !seen.contains(plan);
            seen.push(*plan);
            new
        });
        Self {
            plans,
            ..Self::default()
        }
    }
}

/// The orders of a run, each with the moment from which it holds.
#[derive(Clone, Debug)]
pub struct Timeline(Vec<(Nanos, Order)>);

impl Timeline {
    /// `order` holds from the beginning.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self(vec![(0, order)])
    }

    /// What holds now.
    #[must_use]
    pub fn last(&self) -> &Order {
        &self.0.last().expect("there is one from the beginning").1
    }

    /// From `moment` on, but not before the last change.
    pub fn change(&mut self, moment: Nanos, order: Order) {
        if *self.last() != order {
            let last = self.0.last().map_or(0, |(begin, _)| *begin);
            self.0.push((moment.max(last), order));
        }
    }

    /// The orders that hold at any moment between these two, with their numbers.
    pub fn between(&self, from: Nanos, to: Nanos) -> impl Iterator<Item = (usize, &Order)> {
        let first = self.0.partition_point(|(begin, _)| *begin <= from);
        let after = self.0.partition_point(|(begin, _)| *begin <= to);
        let first = first.saturating_sub(1);
        (first..after.max(first + 1)).map(|number| (number, &self.0[number].1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_found_with_what_follows_in_time() {
        let mut timeline = Timeline::new(Order::of(1));
        timeline.change(10, Order::any(vec![1, 2]));
        timeline.change(20, Order::of(2));
        timeline.change(30, Order::of(2));
        let between = |from, to| -> Vec<usize> {
            let orders = timeline.between(from, to);
            orders.map(|(number, _)| number).collect()
        };
        assert_eq!(between(0, 9), [0]);
        assert_eq!(between(9, 10), [0, 1]);
        assert_eq!(between(10, 19), [1]);
        assert_eq!(between(5, 25), [0, 1, 2]);
        assert_eq!(between(20, 99), [2], "the same again is no change");
    }

    #[test]
    fn a_plan_is_named_once() {
        assert_eq!(Order::any(vec![3, 3]), Order::of(3));
        assert_eq!(Order::any(vec![2, 1, 2]).plans, [2, 1]);
    }
}
