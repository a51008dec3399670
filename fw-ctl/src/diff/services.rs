//! Sets of services, and how they are called: `TCP 22,80-90`, `everything but UDP 53`.

use std::fmt;

use crate::engine::protocol_name;
use crate::observe::icmp_type_name;
use crate::policy::rules::{ICMP, ICMPV6, PORT_PROTOCOLS, Service, ServiceRange, Services};

/// Ranges that one text names; more are counted.
const NAMED: usize = 12;
/// TCP, UDP, SCTP, ICMP, ICMPv6, and all other protocols.
const SLOTS: usize = 6;
const NAMES: [&str; 5] = ["TCP", "UDP", "SCTP", "ICMP", "ICMPv6"];
/// The slot of protocols that have neither ports nor types here.
const OTHER: usize = 5;

/// First and last number, both meant.
type Range = (u16, u16);

/// Any services: of each slot sorted ranges apart from each other, of ports, of types, of
/// IP protocol numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceSet([Vec<Range>; SLOTS]);

/// The largest number of a slot.
const fn last(slot: usize) -> u16 {
    if slot < PORT_PROTOCOLS.len() {
        u16::MAX
    } else {
        u8::MAX as u16
    }
}

/// Protocols that have a slot of their own stand in the last slot as their neighbours do,
/// where they mean nothing: so that ranges are not cut there.
fn has_slot(protocol: u16) -> bool {
    let own = PORT_PROTOCOLS.into_iter().chain([ICMP, ICMPV6]);
    own.map(u16::from).any(|number| number == protocol)
}

impl ServiceSet {
    /// All there are.
    #[must_use]
    pub fn all() -> Self {
        Self(std::array::from_fn(|slot| vec![(0, last(slot))]))
    }

    /// The services of a rule.
    #[must_use]
    pub fn of(services: &Services) -> Self {
        let Services::Only(ranges) = services else {
            return Self::all();
        };
        let mut set = Self::default();
        for range in ranges {
            let (slot, first, last) = match *range {
                ServiceRange::Ports {
                    protocol,
                    first,
                    last,
                } => (slot_of(protocol), first, last),
                ServiceRange::Icmp(number) => (3, number.into(), number.into()),
                ServiceRange::Icmpv6(number) => (4, number.into(), number.into()),
                ServiceRange::Protocol(number) => (OTHER, number.into(), number.into()),
            };
            set.0[slot].push((first, last));
        }
        set.normal()
    }

    /// A set for each of the classes below `count`: `class` says of each number of each
    /// slot in which one it is.
    pub(super) fn classes(count: usize, class: impl Fn(usize, u16) -> u32) -> Vec<Self> {
        let mut sets = vec![Self::default(); count];
        for slot in 0..SLOTS {
            let mut begin = (class(slot, 0), 0);
            let mut end = |(of, first): (u32, u16), last| {
                sets[of as usize].0[slot].push((first, last));
            };
            for number in 1..=last(slot) {
                let of = class(slot, number);
                if of != begin.0 {
                    end(begin, number - 1);
                    begin = (of, number);
                }
            }
            end(begin, last(slot));
        }
        sets.into_iter().map(Self::normal).collect()
    }

    /// What is in one of them.
    pub(super) fn union<'a>(sets: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for set in sets {
            for (slot, ranges) in all.0.iter_mut().zip(&set.0) {
                slot.extend(ranges);
            }
        }
        all.normal()
    }

    /// Sorted, joined, and one way to say what means nothing.
    fn normal(mut self) -> Self {
        for (slot, ranges) in self.0.iter_mut().enumerate() {
            if slot == OTHER {
                widen(ranges);
            }
            ranges.sort_unstable();
            ranges.dedup_by(|next, kept| {
                let touches = kept.1 == u16::MAX || next.0 <= kept.1 + 1;
                if touches {
                    kept.1 = kept.1.max(next.1);
                }
                touches
            });
        }
        self
    }

    /// Whether a service is among them.
    #[must_use]
    pub fn contains(&self, service: Service) -> bool {
        let (slot, number) = match service {
            Service::Port { protocol, port } => (slot_of(protocol), port),
            Service::Icmp(number) => (3, number.into()),
            Service::Icmpv6(number) => (4, number.into()),
            Service::Protocol(number) => (OTHER, number.into()),
        };
        let mut ranges = self.0[slot].iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// Whether all of them are of ICMP (IPv4), or of ICMPv6.
    pub(super) fn is_only_of(&self, icmp: u8) -> bool {
        let own = if icmp == ICMP { 3 } else { 4 };
        let mut slots = self.0.iter().enumerate();
        slots.all(|(slot, ranges)| (slot == own) != ranges.is_empty())
    }

    /// For sorting: by protocol, then by the first port or type.
    pub(super) fn order(&self) -> [Range; SLOTS] {
        // What has none comes last, so that TCP comes first.
        let none = (u16::MAX, u16::MAX);
        let first = |ranges: &Vec<Range>| ranges.first().copied().unwrap_or(none);
        self.0.each_ref().map(first)
    }

    /// All others.
    fn rest(&self) -> Self {
        Self(std::array::from_fn(|slot| gaps(&self.0[slot], last(slot)))).normal()
    }

    /// `TCP 22`, `ICMP EchoRequest`, …: a text for each slot, or one for several that hold
    /// the same numbers.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let mut named = [false; SLOTS];
        for slot in 0..OTHER {
            let ranges = &self.0[slot];
            if named[slot] || ranges.is_empty() {
                continue;
            }
            let alike = |other: &usize| {
                *other == slot || slot < 3 && *other < 3 && self.0[*other] == *ranges
            };
            let slots: Vec<usize> = (slot..OTHER).filter(alike).collect();
            for slot in &slots {
                named[*slot] = true;
            }
            let names: Vec<_> = slots.iter().map(|slot| NAMES[*slot]).collect();
            texts.push(format!("{}{}", names.join("/"), numbers(slot, ranges)));
        }
        let others = &self.0[OTHER];
        if *others == [(0, last(OTHER))] {
            texts.push("other protocols".to_owned());
        } else {
            let numbers = others.iter().flat_map(|(first, last)| *first..=*last);
            let numbers = numbers.filter(|number| !has_slot(*number));
            texts.extend(cut(numbers.map(protocol).collect()));
        }
        texts
    }
}

fn slot_of(protocol: u8) -> usize {
    let mut slots = PORT_PROTOCOLS.iter();
    slots
        .position(|number| *number == protocol)
        .expect("a service with a port is TCP, UDP or SCTP")
}

/// Takes the protocols without a meaning beside each range into it, and those ranges that
/// have no meaning out.
fn widen(ranges: &mut Vec<Range>) {
    ranges.retain(|(first, last)| (*first..=*last).any(|number| !has_slot(number)));
    for (first, last) in ranges {
        while *first > 0 && has_slot(*first - 1) {
            *first -= 1;
        }
        while *last < u16::from(u8::MAX) && has_slot(*last + 1) {
            *last += 1;
        }
    }
}

/// The numbers up to `last` that are in none of the ranges.
fn gaps(ranges: &[Range], last: u16) -> Vec<Range> {
    let mut gaps = Vec::new();
    let mut begin = Some(0);
    for range in ranges {
        if let Some(begin) = begin
            && begin < range.0
        {
            gaps.push((begin, range.0 - 1));
        }
        begin = range.1.checked_add(1).filter(|next| *next <= last);
    }
    gaps.extend(begin.map(|begin| (begin, last)));
    gaps
}

/// ` 22,80-90`, ` but 22`, or nothing where all numbers are meant.
fn numbers(slot: usize, ranges: &[Range]) -> String {
    let gaps = gaps(ranges, last(slot));
    let (word, ranges) = match (gaps.len(), ranges.len()) {
        (0, _) => return String::new(),
        (left_out, named) if left_out < named => (" but ", &gaps[..]),
        (1, 1) if size(&gaps) < size(ranges) => (" but ", &gaps[..]),
        _ => (" ", ranges),
    };
    let one = |(first, last): &Range| match slot {
        3 | 4 if first == last => {
            icmp_type_name(slot == 4, u8::try_from(*first).unwrap_or(u8::MAX))
        }
        _ if first == last => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    let texts = cut(ranges.iter().map(one).collect());
    format!("{word}{}", texts.join(","))
}

fn size(ranges: &[Range]) -> u32 {
    let sizes = ranges
        .iter()
        .map(|(first, last)| u32::from(last - first) + 1);
    sizes.sum()
}

fn protocol(number: u16) -> String {
    let name = u8::try_from(number).ok().and_then(protocol_name);
    name.map_or_else(
        || format!("protocol {number}"),
        |name| name.to_ascii_uppercase(),
    )
}

fn cut(mut texts: Vec<String>) -> Vec<String> {
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts
}

/// By what is in the set, or by what is not, where nearly everything is.
impl fmt::Display for ServiceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("everything");
        }
        if self.is_empty() {
            return f.write_str("nothing");
        }
        let rest = self.rest();
        // The other protocols are 251 of the 256 that have names of their own.
        let (count, left) = (size(&self.0[OTHER]), size(&rest.0[OTHER]));
        if !self.0[OTHER].is_empty() && count > left {
            return write!(f, "everything but {}", rest.texts().join(", "));
        }
        f.write_str(&self.texts().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(protocol: u8, first: u16, last: u16) -> ServiceRange {
        ServiceRange::Ports {
            protocol,
            first,
            last,
        }
    }

    fn text(ranges: &[ServiceRange]) -> String {
        ServiceSet::of(&Services::Only(ranges.to_vec())).to_string()
    }

    #[test]
    fn services_are_called_as_people_call_them() {
        let every = |protocol| ports(protocol, 0, u16::MAX);
        for (ranges, expected) in [
            (vec![], "nothing"),
            (vec![ports(6, 22, 22)], "TCP 22"),
            (vec![ports(6, 22, 22), ports(6, 23, 30)], "TCP 22-30"),
            (vec![every(6)], "TCP"),
            (vec![ports(6, 0, 21), ports(6, 23, u16::MAX)], "TCP but 22"),
            (
                vec![ports(6, 53, 53), ports(17, 53, 53), ports(132, 7, 7)],
                "TCP/UDP 53, SCTP 7",
            ),
            (
                vec![ServiceRange::Icmp(8), ServiceRange::Icmpv6(128)],
                "ICMP EchoRequest, ICMPv6 EchoRequest",
            ),
            (vec![ServiceRange::Icmp(3)], "ICMP DestinationUnreachable"),
            (
                vec![ServiceRange::Protocol(112), ServiceRange::Protocol(99)],
                "protocol 99, VRRP",
            ),
        ] {
            assert_eq!(text(&ranges), expected);
        }
        assert_eq!(ServiceSet::of(&Services::All).to_string(), "everything");
    }

    #[test]
    fn nearly_everything_is_called_by_what_is_left_out() {
        let all_but = |out: &[Service]| {
            let class = |slot, number| {
                let numbered = |service: &Service| match *service {
                    Service::Port { protocol, port } => (slot_of(protocol), port),
                    Service::Icmp(number) => (3, number.into()),
                    Service::Icmpv6(number) => (4, number.into()),
                    Service::Protocol(number) => (OTHER, number.into()),
                };
                u32::from(out.iter().map(numbered).any(|left| left == (slot, number)))
            };
            ServiceSet::classes(2, class).remove(0)
        };
        let ssh = Service::Port {
            protocol: 6,
            port: 22,
        };
        let set = all_but(&[ssh, Service::Icmp(8)]);
        assert_eq!(set.to_string(), "everything but TCP 22, ICMP EchoRequest");
        assert!(!set.contains(ssh) && set.contains(Service::Icmpv6(8)));
        assert_eq!(all_but(&[]), ServiceSet::all());
        let vrrp = all_but(&[Service::Protocol(112)]);
        assert_eq!(vrrp.to_string(), "everything but VRRP");
        // 6 and 17 lie between, and mean nothing there.
        let near: Vec<_> = (5..=7).map(ServiceRange::Protocol).collect();
        let apart = [ServiceRange::Protocol(5), ServiceRange::Protocol(7)];
        assert_eq!(
            ServiceSet::of(&Services::Only(near)),
            ServiceSet::of(&Services::Only(apart.to_vec()))
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<_> = (0..40).map(|n| ports(6, n * 100, n * 100)).collect();
        let text = text(&many);
        assert!(text.ends_with(",1100,and 28 more"), "{text}");
    }
}
