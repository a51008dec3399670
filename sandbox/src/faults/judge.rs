//! Was each packet treated as a plan that was in force then says?

use std::collections::BTreeMap;

use super::timeline::{Nanos, Order, PlanId, Timeline};

/// A packet that has been sent is judged within this time, if it is to be judged at all:
/// the kernel may leave it in a queue while others have the processors.
const UNDER_WAY: Nanos = 100_000_000;

/// How many of the wrong ones are told.
const TOLD: usize = 8;

/// One packet of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Which flow it is of.
    pub flow: u16,
    /// Just before it was given to the kernel.
    pub sent: Nanos,
    /// When the kernel had taken it.
    pub taken: Nanos,
    /// When it arrived behind the filter; `None`: never.
    pub got: Option<Nanos>,
}

impl Packet {
    /// When it was judged at the latest.
    fn judged(&self) -> Nanos {
        self.got.unwrap_or(self.taken + UNDER_WAY)
    }
}

/// What became of packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub packets: u64,
    /// While two plans were possible: as only the old one says.
    pub old: u64,
    /// As only the new one says.
    pub new: u64,
    /// Lost while the way was cut, or delivered while the filter was taken away.
    pub unjudged: u64,
    /// Delivered though no plan allows it.
    pub wrongly_passed: u64,
    /// Lost though all plans allow it.
    pub wrongly_dropped: u64,
    /// The first of the wrong ones.
    pub told: Vec<(Packet, Vec<PlanId>)>,
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.old += other.old;
        self.new += other.new;
        self.unjudged += other.unjudged;
        self.wrongly_passed += other.wrongly_passed;
        self.wrongly_dropped += other.wrongly_dropped;
    }

    fn wrong(&mut self, packet: &Packet, plans: &[PlanId]) {
        match packet.got {
            Some(_) => self.wrongly_passed += 1,
            None => self.wrongly_dropped += 1,
        }
        if self.told.len() < TOLD {
            self.told.push((*packet, plans.to_vec()));
        }
    }
}

/// Judges packets. `allows`: whether a plan allows a flow.
pub fn judge(
    packets: &[Packet],
    timeline: &Timeline,
    allows: impl Fn(PlanId, u16) -> bool,
) -> Tally {
    let mut tally = Tally::default();
    let mut together: BTreeMap<usize, (&Order, Vec<&Packet>)> = BTreeMap::new();
    for packet in packets {
        tally.packets += 1;
        let orders: Vec<_> = timeline.between(packet.sent, packet.judged()).collect();
        if let [(number, order)] = orders[..]
            && order.single
        {
            let of_order = &mut together.entry(number).or_insert((order, Vec::new())).1;
            of_order.push(packet);
            continue;
        }
        let excused = orders.iter().any(|(_, order)| match packet.got {
            Some(_) => order.open,
            None => order.severed,
        });
        let plans = orders.iter().flat_map(|(_, order)| &order.plans).copied();
        let plans = Order::any(plans.collect()).plans;
        let fits = |plan: &PlanId| allows(*plan, packet.flow) == packet.got.is_some();
        match plans.iter().position(fits) {
            None if excused => tally.unjudged += 1,
            None => tally.wrong(packet, &plans),
            Some(first) if plans.len() > 1 => match first {
                0 if !plans[1..].iter().any(fits) => tally.old += 1,
                0 => {}
                _ => tally.new += 1,
            },
            Some(_) => {}
        }
    }
    for (order, packets) in together.into_values() {
        add_single(&mut tally, order, &packets, &allows);
    }
    tally
}

/// One plan for all of them: the one by which the fewest are wrong.
fn add_single(
    tally: &mut Tally,
    order: &Order,
    packets: &[&Packet],
    allows: &impl Fn(PlanId, u16) -> bool,
) {
    let wrong_by = |plan: PlanId| {
        let wrong = move |packet: &&&Packet| allows(plan, packet.flow) != packet.got.is_some();
        packets.iter().filter(wrong)
    };
    let by = order
        .plans
        .iter()
        .min_by_key(|plan| wrong_by(**plan).count());
    let Some(&by) = by else { return };
    for packet in wrong_by(by) {
        let excused = match packet.got {
            Some(_) => order.open,
            None => order.severed,
        };
        if excused {
            tally.unjudged += 1;
        } else {
            tally.wrong(packet, &[by]);
        }
    }
    if order.plans.len() > 1 {
        let others = |packet: &&&Packet| {
            let mut others = order.plans.iter().filter(|plan| **plan != by);
            !others.any(|plan| allows(*plan, packet.flow) == packet.got.is_some())
        };
        let only_by = packets.iter().filter(others).count() as u64;
        match order.plans[0] == by {
            true => tally.old += only_by,
            false => tally.new += only_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plan 1 allows flow 1, plan 2 flow 2, both flow 0, none flow 3.
    fn allows(plan: PlanId, flow: u16) -> bool {
        flow == 0 || usize::from(flow) == plan
    }

    const MS: Nanos = 1_000_000;

    fn packet(flow: u16, at: Nanos, passes: bool) -> Packet {
        Packet {
            flow,
            sent: at * MS,
            taken: at * MS,
            got: passes.then_some(at * MS + 1),
        }
    }

    /// From plan 1 to plan 2, in doubt from 1000 to 2000 ms.
    fn change(doubt: Order) -> Timeline {
        let mut timeline = Timeline::new(Order::of(1));
        timeline.change(1_000 * MS, doubt);
        timeline.change(2_000 * MS, Order::of(2));
        timeline
    }

    fn wrong(packets: &[Packet], timeline: &Timeline) -> (u64, u64) {
        let tally = judge(packets, timeline, allows);
        assert_eq!(tally.packets, packets.len() as u64);
        let told = tally.told.len() as u64;
        assert_eq!(told, tally.wrongly_passed + tally.wrongly_dropped);
        (tally.wrongly_passed, tally.wrongly_dropped)
    }

    #[test]
    fn the_plan_of_the_moment_decides() {
        let timeline = change(Order::any(vec![1, 2]));
        for (flow, at, passes, expected) in [
            (1, 500, true, (0, 0)),
            (1, 500, false, (0, 1)),
            (2, 500, true, (1, 0)),
            (1, 1_500, true, (0, 0)),
            (1, 1_500, false, (0, 0)),
            (3, 1_500, true, (1, 0)),
            (0, 1_500, false, (0, 1)),
            // When the change is over, only the new plan counts.
            (1, 2_000, true, (1, 0)),
            (2, 2_000, false, (0, 1)),
        ] {
            let got = wrong(&[packet(flow, at, passes)], &timeline);
            assert_eq!(got, expected, "flow {flow} at {at}, passes: {passes}");
        }
    }

    #[test]
    fn a_packet_under_way_when_a_change_begins_may_meet_it() {
        let timeline = change(Order::any(vec![1, 2]));
        assert_eq!(wrong(&[packet(1, 950, false)], &timeline), (0, 0));
        assert_eq!(wrong(&[packet(1, 850, false)], &timeline), (0, 1));
        // What has arrived before cannot have met it.
        assert_eq!(wrong(&[packet(2, 950, true)], &timeline), (1, 0));
    }

    #[test]
    fn in_doubt_about_one_plan_both_are_not_possible_together() {
        let doubt = Order {
            single: true,
            ..Order::any(vec![1, 2])
        };
        let timeline = change(doubt);
        let by_one = [packet(1, 1_200, true), packet(2, 1_300, false)];
        let by_two = [packet(1, 1_200, false), packet(2, 1_300, true)];
        assert_eq!(wrong(&by_one, &timeline), (0, 0));
        assert_eq!(wrong(&by_two, &timeline), (0, 0));
        let mixed = [by_one[0], by_one[1], by_two[1]];
        assert_eq!(wrong(&mixed, &timeline), (1, 0));
        assert_eq!(judge(&by_two, &timeline, allows).new, 2);
        assert_eq!(judge(&by_one, &timeline, allows).old, 2);
    }

    #[test]
    fn what_cannot_be_judged_is_counted_as_such_and_the_rest_is_judged() {
        let severed = change(Order {
            severed: true,
            ..Order::of(1)
        });
        assert_eq!(wrong(&[packet(0, 1_500, false)], &severed), (0, 0));
        assert_eq!(wrong(&[packet(2, 1_500, true)], &severed), (1, 0));
        let open = change(Order {
            open: true,
            ..Order::of(1)
        });
        assert_eq!(wrong(&[packet(2, 1_500, true)], &open), (0, 0));
        assert_eq!(wrong(&[packet(0, 1_500, false)], &open), (0, 1));
        let tally = judge(&[packet(2, 1_500, true)], &open, allows);
        assert_eq!(tally.unjudged, 1);
    }

    #[test]
    fn old_and_new_are_told_apart_where_they_differ() {
        let timeline = change(Order::any(vec![1, 2]));
        let packets = [
            packet(1, 1_200, true),
            packet(2, 1_300, true),
            packet(1, 1_400, false),
            packet(0, 1_500, true),
            packet(3, 1_500, false),
        ];
        let tally = judge(&packets, &timeline, allows);
        assert_eq!((tally.old, tally.new), (1, 2));
    }
}
