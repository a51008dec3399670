//! A bounded sample of what a plan says, as packets: which are sent through the programs
//! before the plan judges real ones.
//!
//! Of every class of peers, services and VLANs one comes at least, what failsafe entries
//! allow first, and of the rest of the cells as many as fit, spread evenly; of long lists
//! also addresses where one range ends and the next begins.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fw_common::wire::{Direction, VerdictWord};

use super::super::frame::{Packet, Payload};
use super::super::image::DIRECTIONS;
use crate::compile::plan::{DirectionPlan, Plan};
use crate::policy::rules::{PORT_PROTOCOLS, Service};
use crate::ranges::Number;

/// The node's addresses in the test: of documents (RFC 5737, RFC 3849), nobody's.
pub const NODE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
/// Source port, which no built-in knows.
const PORT: u16 = 40_000;
/// Addresses like any other.
const ANYBODY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 18, 7, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 7, 0, 0, 0, 1)),
];
/// Ranges of addresses whose bounds are tried, of each family.
const BOUNDS: usize = 32;
/// Representatives of services at most, of a direction.
const SERVICES: usize = 256;
/// Representatives of peers at most.
const PEERS: usize = 256;

/// 2^64 divided by the golden ratio: multiples of it are spread evenly, however many.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A packet, and what the plan says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where it goes.
    pub direction: Direction,
    /// Its VLAN; 0: untagged.
    pub vlan: u16,
    /// The other side.
    pub peer: IpAddr,
    /// What it asks for.
    pub service: Service,
    /// Who decides, and what.
    pub word: VerdictWord,
}

impl Sample {
    /// The frame.
    #[must_use]
    pub fn frame(&self) -> Option<Vec<u8>> {
        let node = NODE[usize::from(self.peer.is_ipv6())];
        let (source, destination) = match self.direction {
            Direction::Ingress => (self.peer, node),
            Direction::Egress => (node, self.peer),
        };
        let (protocol, port, kind) = match self.service {
            Service::Port { protocol, port } => (protocol, port, 0),
            Service::Icmp(kind) => (1, 0, kind),
            Service::Icmpv6(kind) => (58, 0, kind),
            Service::Protocol(protocol) => (protocol, 0, 0),
        };
        let packet = Packet {
            vlan: (self.vlan != 0).then_some(self.vlan),
            source,
            destination,
            payload: Payload::new(protocol, (PORT, port), (kind, 0)),
        };
        packet.frame()
    }
}

/// At most so many samples of `plan`.
#[must_use]
pub fn choose(plan: &Plan, most: usize) -> Vec<Sample> {
    let peers = peers(plan);
    let vlans: Vec<u16> = plan.vlan_examples().collect();
    let mut chosen = Chosen::new(plan, most);
    for direction in DIRECTIONS {
        let services = services(&plan.directions[direction as usize]);
        // Half of the room for each direction, and of that a half for failsafe entries.
        let end = match direction {
            Direction::Ingress => most / 2,
            Direction::Egress => most,
        };
        chosen.room = chosen.samples.len().midpoint(end);
        chosen.add_failsafe(direction, &vlans, &peers, &services);
        chosen.room = end;
        let (p, s, v) = (peers.len(), services.len(), vlans.len());
        let total = (p * s * v) as u128;
        if total == 0 {
            continue;
        }
        for n in 0..p.max(s).max(v) {
            let (vlan, peer, service) = (vlans[n % v], peers[n % p].1, services[n % s].1);
            let others = (n..n + p).map(|n| peers[n % p].1);
            for peer in others.filter(|peer| is_of(service, *peer)).take(1) {
                chosen.add(direction, vlan, peer, service);
            }
            if !is_of(service, peer) {
                // Its turn all the same: the first are of TCP.
                chosen.add(direction, vlan, peer, services[0].1);
            }
        }
        for n in 0..most as u64 {
            let part = u128::from(n.wrapping_mul(GOLDEN));
            let n = ((part * total) >> u64::BITS) as usize;
            let (vlan, peer, service) = (n / (p * s), n / s % p, n % s);
            chosen.add(direction, vlans[vlan], peers[peer].1, services[service].1);
        }
    }
    chosen.samples
}

/// Samples of the plan that are about these peers, at most so many.
#[must_use]
pub fn about(plan: &Plan, peers: impl Iterator<Item = IpAddr>, most: usize) -> Vec<Sample> {
    let mut chosen = Chosen::new(plan, most);
    let peers: Vec<_> = peers.filter(|peer| is_usual(*peer)).take(most).collect();
    let services = DIRECTIONS.map(|direction| services(&plan.directions[direction as usize]));
    for turn in 0..SERVICES {
        for direction in DIRECTIONS {
            for (n, peer) in peers.iter().enumerate() {
                let of = &services[direction as usize];
                if let Some((_, service)) = of.get((turn + n) % of.len().max(1)) {
                    chosen.add(direction, 0, *peer, *service);
                }
            }
        }
    }
    chosen.samples
}

struct Chosen<'a> {
    plan: &'a Plan,
    room: usize,
    seen: BTreeSet<(Direction, u16, IpAddr, Service)>,
    limited: BTreeSet<u16>,
    samples: Vec<Sample>,
}

impl<'a> Chosen<'a> {
    fn new(plan: &'a Plan, room: usize) -> Self {
        Self {
            plan,
            room,
            seen: BTreeSet::new(),
            limited: BTreeSet::new(),
            samples: Vec::new(),
        }
    }

    fn add_failsafe(
        &mut self,
        direction: Direction,
        vlans: &[u16],
        peers: &[(u16, IpAddr)],
        services: &[(u16, Service)],
    ) {
        let side = &self.plan.directions[direction as usize];
        let (rows, columns) = (self.plan.rows as usize, side.columns as usize);
        let (peers, services) = (by_class(peers), by_class(services));
        let failsafe = side.cells.iter().enumerate();
        for (cell, _) in failsafe.filter(|(_, word)| word.is_failsafe()) {
            let (vlan, row, column) =
                (cell / columns / rows, cell / columns % rows, cell % columns);
            let vlan = vlans.get(vlan).copied().unwrap_or_default();
            for peer in peers.get(&row).into_iter().flatten() {
                for service in services.get(&column).into_iter().flatten() {
                    self.add(direction, vlan, *peer, *service);
                }
            }
            if self.samples.len() >= self.room {
                break;
            }
        }
    }

    fn add(&mut self, direction: Direction, vlan: u16, peer: IpAddr, service: Service) {
        if !is_of(service, peer) || self.samples.len() >= self.room {
            return;
        }
        let word = self.plan.lookup(direction, vlan, peer, service);
        // The second packet may be beyond a limit.
        if word.is_limited() && !self.limited.insert(word.rule()) {
            return;
        }
        if self.seen.insert((direction, vlan, peer, service)) {
            self.samples.push(Sample {
                direction,
                vlan,
                peer,
                service,
                word,
            });
        }
    }
}

/// An address of each class and family, then bounds of ranges; each with its class.
fn peers(plan: &Plan) -> Vec<(u16, IpAddr)> {
    let mut peers = Vec::new();
    // What no prefix is about begins and ends with addresses that nobody has.
    let anybody = ANYBODY.into_iter();
    peers.extend(anybody.map(|peer| (plan.peer_class(peer), peer)));
    of_each_class(&plan.peers.v4, plan.rows, &mut peers);
    of_each_class(&plan.peers.v6, plan.rows, &mut peers);
    peers.truncate(PEERS);
    bounds(&plan.peers.v4, &mut peers);
    bounds(&plan.peers.v6, &mut peers);
    peers
}

fn of_each_class<N: Number>(runs: &[(N, u16)], classes: u32, peers: &mut Vec<(u16, IpAddr)>) {
    let mut seen = vec![false; classes as usize];
    for (first, class) in runs {
        let Some(seen) = seen.get_mut(usize::from(*class)) else {
            continue;
        };
        if !*seen && is_usual(first.address()) {
            *seen = true;
            peers.push((*class, first.address()));
        }
    }
}

fn bounds<N: Number>(runs: &[(N, u16)], peers: &mut Vec<(u16, IpAddr)>) {
    let tried = BOUNDS.min(runs.len());
    for n in 0..tried {
        let at = n * runs.len() / tried;
        let (first, class) = &runs[at];
        let last = first.before().zip(at.checked_sub(1));
        let last = last.map(|(last, before)| (runs[before].1, last.address()));
        let both = last.into_iter().chain([(*class, first.address())]);
        peers.extend(both.filter(|(_, peer)| is_usual(*peer)));
    }
}

/// Whether the service is to be had in the family of the peer.
const fn is_of(service: Service, peer: IpAddr) -> bool {
    match service {
        Service::Icmp(_) => peer.is_ipv4(),
        Service::Icmpv6(_) => peer.is_ipv6(),
        Service::Port { .. } | Service::Protocol(_) => true,
    }
}

/// Whether packets of this peer are judged by policy, and are not the node's own.
fn is_usual(peer: IpAddr) -> bool {
    let special = match peer {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some(),
    };
    let special = special || peer.is_multicast() || peer.is_loopback() || peer.is_unspecified();
    !special && !NODE.contains(&peer)
}

/// A service of each class and protocol, with its class.
fn services(plan: &DirectionPlan) -> Vec<(u16, Service)> {
    let mut services = Vec::new();
    for (protocol, classes) in PORT_PROTOCOLS.into_iter().zip(&plan.ports) {
        let numbers = (0..=u16::MAX).zip(classes.iter().copied());
        let others = numbers.filter(|(port, _)| *port != 0 && *port != PORT);
        let of = others.map(|(port, class)| (class, Service::Port { protocol, port }));
        one_each(of, &mut services);
    }
    // Neither errors, which quote a packet, nor what built-ins are about.
    let icmp = (0..=u8::MAX).filter(|kind| !matches!(kind, 3..=5 | 11..=12));
    let icmp = icmp.map(|kind| (plan.icmp[0][usize::from(kind)], Service::Icmp(kind)));
    one_each(icmp, &mut services);
    let icmpv6 = (0..=u8::MAX).filter(|kind| !matches!(kind, 1..=4 | 130..=153));
    let icmpv6 = icmpv6.map(|kind| (plan.icmp[1][usize::from(kind)], Service::Icmpv6(kind)));
    one_each(icmpv6, &mut services);
    // Neither what has a table of its own, IGMP, nor extension headers of IPv6.
    let others = (0..=u8::MAX).filter(|number| {
        !matches!(
            number,
            0..=2 | 6 | 17 | 43 | 44 | 50 | 51 | 58..=60 | 132 | 135 | 139..=140
        )
    });
    let others = others.map(|n| (plan.protocols[usize::from(n)], Service::Protocol(n)));
    one_each(others, &mut services);
    services.truncate(SERVICES);
    services
}

fn one_each(of: impl Iterator<Item = (u16, Service)>, services: &mut Vec<(u16, Service)>) {
    let mut seen = BTreeSet::new();
    let mut last = None;
    for (class, one) in of {
        // Most ports have the class of the one before.
        if last != Some(class) && seen.insert(class) {
            services.push((class, one));
        }
        last = Some(class);
    }
}

/// What has each class.
fn by_class<T: Copy>(all: &[(u16, T)]) -> BTreeMap<usize, Vec<T>> {
    let mut by_class = BTreeMap::<_, Vec<T>>::new();
    for (class, one) in all {
        by_class.entry(usize::from(*class)).or_default().push(*one);
    }
    by_class
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::plan::{Mode, PlanRule};
    use crate::lookup::Runs;

    /// `ranges` of 2^16 addresses of IPv4, of which every second is of class 1; port 22 is
    /// allowed there by a failsafe entry, and everything else denied.
    fn plan(ranges: u32) -> Plan {
        let mut tcp = vec![0; 65_536];
        tcp[22] = 1;
        let direction = DirectionPlan {
            columns: 2,
            ports: [tcp, vec![0; 65_536], vec![0; 65_536]],
            icmp: [vec![0; 256], vec![0; 256]],
            protocols: vec![0; 256],
            cells: vec![
                VerdictWord::default_deny(1),
                VerdictWord::default_deny(1),
                VerdictWord::default_deny(1),
                VerdictWord::failsafe(2),
            ],
        };
        Plan {
            mode: Mode::Enforce,
            builtins: 0,
            peers: Runs {
                v4: (0..ranges).map(|n| (n << 16, (n % 2) as u16)).collect(),
                v6: vec![(0, 0)],
            },
            rows: 2,
            vlans: Vec::new(),
            directions: [direction.clone(), direction],
            rules: Vec::<PlanRule>::new(),
        }
    }

    #[test]
    fn there_are_no_more_than_asked_for_and_every_class_is_among_them() {
        for (ranges, most) in [(2, 64), (60_000, 64), (60_000, 512)] {
            let plan = plan(ranges);
            let samples = choose(&plan, most);
            assert!(
                samples.len() <= most && samples.len() > 16,
                "{}",
                samples.len()
            );
            for direction in DIRECTIONS {
                let of = || samples.iter().filter(|s| s.direction == direction);
                assert!(
                    of().any(|sample| sample.word.is_failsafe()),
                    "{direction:?}"
                );
                for class in 0..2 {
                    assert!(of().any(|sample| plan.peer_class(sample.peer) == class));
                }
                for wanted in [
                    Service::Icmp(0),
                    Service::Icmpv6(0),
                    Service::Protocol(3),
                    Service::Port {
                        protocol: 6,
                        port: 1,
                    },
                    Service::Port {
                        protocol: 17,
                        port: 1,
                    },
                ] {
                    assert!(of().any(|sample| sample.service == wanted), "{wanted:?}");
                }
            }
            for sample in &samples {
                assert!(sample.frame().is_some(), "{sample:?}");
            }
        }
    }

    #[test]
    fn bounds_of_ranges_are_tried() {
        let plan = plan(60_000);
        let samples = choose(&plan, 512);
        let last = |sample: &&Sample| match sample.peer {
            IpAddr::V4(peer) => peer.to_bits() & 0xffff == 0xffff,
            IpAddr::V6(_) => false,
        };
        assert!(samples.iter().filter(last).count() > 8);
    }

    #[test]
    fn peers_that_were_asked_for_are_the_only_ones() {
        let peer = "10.1.2.3".parse().unwrap();
        let samples = about(
            &plan(2),
            [peer, "224.0.0.1".parse().unwrap()].into_iter(),
            16,
        );
        assert!(samples.len() > 8, "{}", samples.len());
        assert!(samples.iter().all(|sample| sample.peer == peer));
    }
}
