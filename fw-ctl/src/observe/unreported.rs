//! What the kernel has not reported, by CPU and by what it was of.

use std::collections::BTreeMap;

use fw_common::wire::{EventKind, EventSlot};

/// Totals since the tables were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreported {
    /// By CPU.
    pub cpus: Vec<u64>,
    /// Because the buffer was full.
    pub full: u64,
    /// Because of their number: by kind and slot ([`fw_common::wire::SlotOwner`]), those that
    /// are not 0.
    pub slots: BTreeMap<(EventKind, u32), u64>,
    /// Numbers of the plans in the tables, by generation; as far as they were asked for.
    pub plans: Vec<u64>,
}

impl Unreported {
    /// Adds what a CPU counts of a kind: because the buffer was full, and by slot.
    pub fn add(&mut self, kind: EventKind, cpu: usize, full: u64, slots: &[EventSlot]) {
        if self.cpus.len() <= cpu {
            self.cpus.resize(cpu + 1, 0);
        }
        let total = &mut self.cpus[cpu];
        *total = total.saturating_add(full);
        self.full = self.full.saturating_add(full);
        for (slot, counted) in (0..).zip(slots) {
            if counted.lost > 0 {
                *total = total.saturating_add(counted.lost);
                let of_slot = self.slots.entry((kind, slot)).or_default();
                *of_slot = of_slot.saturating_add(counted.lost);
            }
        }
    }

    /// Of all CPUs.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.cpus.iter().copied().fold(0, u64::saturating_add)
    }
}

/// What was not reported in a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How much.
    pub count: u64,
    /// The CPU, if it was one alone.
    pub cpu: Option<u32>,
    /// Because the buffer was full.
    pub full: u64,
    /// By kind and slot, what is most first.
    pub slots: Vec<((EventKind, u32), u64)>,
    /// As [`Unreported::plans`]; 0 where it was replaced meanwhile.
    pub plans: Vec<u64>,
}

impl Loss {
    /// How much of it was dropped or would have been, as far as one knows.
    #[must_use]
    pub fn denied(&self) -> u64 {
        let denied = self.slots.iter();
        let denied = denied.filter(|((kind, _), _)| *kind == EventKind::Denied);
        denied.map(|(_, count)| count).sum::<u64>() + self.full
    }
}

/// What was counted when it was looked at last.
pub struct Losses {
    before: Unreported,
}

impl Losses {
    /// From now on: what was lost before is nobody's any more.
    #[must_use]
    pub fn since(totals: Unreported) -> Self {
        Self { before: totals }
    }

    /// What was lost since then.
    pub fn look(&mut self, totals: Unreported) -> Option<Loss> {
        let before = std::mem::replace(&mut self.before, totals);
        let now = &self.before;
        let cpus = before.cpus.iter().copied().chain(std::iter::repeat(0));
        let lost = now.cpus.iter().zip(cpus);
        let lost: Vec<_> = (0..)
            .zip(lost.map(|(now, before)| now.saturating_sub(before)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let count = lost.iter().map(|(_, count)| count).sum();
        let cpu = match lost[..] {
            [] => return None,
            [(cpu, _)] => Some(cpu),
            _ => None,
        };
        let slots = now.slots.iter().map(|(slot, now)| {
            let before = before.slots.get(slot).copied().unwrap_or_default();
            (*slot, now.saturating_sub(before))
        });
        let mut slots: Vec<_> = slots.filter(|(_, count)| *count > 0).collect();
        slots.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let plans = before.plans.iter().zip(&now.plans);
        let plans = plans.map(|(before, now)| if before == now { *now } else { 0 });
        Some(Loss {
            count,
            cpu,
            full: now.full.saturating_sub(before.full),
            slots,
            plans: plans.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use fw_common::wire::EVENT_SLOTS;

    use super::*;

    fn cpus(cpus: &[u64]) -> Unreported {
        Unreported {
            cpus: cpus.to_vec(),
            ..Unreported::default()
        }
    }

    #[test]
    fn a_loss_is_told_once_with_its_cpu_if_it_was_one() {
        let mut losses = Losses::since(cpus(&[5, 0]));
        let mut look = |totals: &[u64]| {
            let loss = losses.look(cpus(totals));
            loss.map(|loss| (loss.count, loss.cpu))
        };
        assert_eq!(look(&[5, 0]), None);
        assert_eq!(look(&[5, 7]), Some((7, Some(1))));
        assert_eq!(look(&[5, 7]), None);
        assert_eq!(look(&[6, 9]), Some((3, None)));
        // A CPU that came later; and one that began again.
        assert_eq!(look(&[6, 9, 4]), Some((4, Some(2))));
        assert_eq!(look(&[0, 9, 4]), None);
    }

    #[test]
    fn it_is_known_of_which_slots_it_was_and_of_which_plan() {
        let slots = |lost: [u64; 2]| {
            let mut slots = vec![EventSlot::default(); EVENT_SLOTS as usize];
            for (slot, lost) in [3, 700].into_iter().zip(lost) {
                slots[slot].lost = lost;
            }
            slots
        };
        let of = |full, allowed, denied: [[u64; 2]; 2], plans: [u64; 2]| {
            let mut totals = Unreported {
                plans: plans.to_vec(),
                ..Unreported::default()
            };
            totals.add(EventKind::Allowed, 0, full, &slots(allowed));
            for (cpu, denied) in denied.into_iter().enumerate() {
                totals.add(EventKind::Denied, cpu, 0, &slots(denied));
            }
            totals
        };
        let mut losses = Losses::since(of(1, [0, 7], [[2, 0], [1, 0]], [4, 5]));
        let loss = losses.look(of(3, [0, 8], [[2, 1], [6, 9]], [6, 5]));
        let loss = loss.unwrap();
        assert_eq!((loss.count, loss.cpu, loss.full), (18, None, 2));
        let slots = [
            ((EventKind::Denied, 700), 10),
            ((EventKind::Denied, 3), 5),
            ((EventKind::Allowed, 700), 1),
        ];
        assert_eq!(loss.slots, slots);
        assert_eq!(loss.plans, [0, 5]);
        assert_eq!(loss.denied(), 17);
    }
}
