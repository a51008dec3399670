//! What a change of plans does: who may ask for which service now and could not before,
//! and the reverse.
//!
//! Exact, not by samples: both plans cut all addresses, services and VLANs into classes.
//! Cut by both at once, each piece is of one class in each plan, and the two cells of the
//! matrices say what was and what will be.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use fw_common::wire::{Direction, VerdictWord};

use super::addresses::Addresses;
use super::services::ServiceSet;
use crate::compile::plan::{DirectionPlan, Plan};
use crate::policy::rate::Rate;
use crate::policy::rules::{ICMP, ICMPV6, Service};
use crate::ranges::{Number, spans};
use crate::vlans::{LAST, VlanRange, VlanSet};

/// Whether a new connection may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Passage {
    /// It may not.
    No,
    /// As long as its peer keeps to a limit.
    UpTo(Rate),
    /// It may.
    Yes,
}

impl Passage {
    fn of(plan: &Plan, word: VerdictWord) -> Self {
        let rate = plan.rule(word).rate.filter(|_| word.is_limited());
        match rate {
            _ if !word.is_allow() => Self::No,
            Some(rate) => Self::UpTo(rate),
            None => Self::Yes,
        }
    }
}

/// What becomes different for some peers and some services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which way.
    pub direction: Direction,
    /// In which VLANs; `None`: in all.
    pub vlans: Option<VlanSet>,
    /// What was.
    pub from: Passage,
    /// What will be; another than that.
    pub to: Passage,
    /// Of which services.
    pub services: ServiceSet,
    /// For whom.
    pub peers: Addresses,
}

impl Change {
    /// Whether peers may pass that might not.
    #[must_use]
    pub fn gains(&self) -> bool {
        self.from == Passage::No
    }

    /// Whether peers may not pass any more.
    #[must_use]
    pub fn loses(&self) -> bool {
        self.to == Passage::No
    }
}

/// Numbers values in the order in which they come.
struct Numbers<T> {
    of: HashMap<T, u32>,
    values: Vec<T>,
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn new() -> Self {
        Self {
            of: HashMap::new(),
            values: Vec::new(),
        }
    }

    fn number(&mut self, value: T) -> u32 {
        *self.of.entry(value).or_insert_with_key(|value| {
            self.values.push(value.clone());
            u32::try_from(self.values.len() - 1).expect("fewer than 2^32 pairs fit in memory")
        })
    }
}

/// A class of each plan.
type Pair = (u16, u16);

/// Every difference between the verdicts of two plans, whatever the mode: losses first.
#[must_use]
pub fn effect(from: &Plan, to: &Plan) -> Vec<Change> {
    let mut pairs = Numbers::new();
    let v4 = merged(&from.peers.v4, &to.peers.v4, &mut pairs);
    let v6 = merged(&from.peers.v6, &to.peers.v6, &mut pairs);
    let pieces = Pieces {
        plans: [from, to],
        pairs: pairs.values,
        v4,
        v6,
    };
    let mut found = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        let mut changes = pieces.direction(direction);
        changes.sort_by(|one, other| {
            let kind = |change: &Change| (!change.loses(), !change.gains());
            let services = |change: &Change| change.services.order();
            // The rest only so that the order is always the same.
            (kind(one), services(one), &one.vlans, &one.peers).cmp(&(
                kind(other),
                services(other),
                &other.vlans,
                &other.peers,
            ))
        });
        found.append(&mut changes);
    }
    found
}

/// Runs of both plans as runs of pairs of their classes.
fn merged<'a, N: Number>(
    mut from: &'a [(N, u16)],
    mut to: &'a [(N, u16)],
    pairs: &mut Numbers<Pair>,
) -> Vec<(N, u32)> {
    let mut runs = Vec::with_capacity(from.len().max(to.len()));
    let mut here = N::default();
    let mut classes = (0, 0);
    loop {
        for (runs, class) in [(&mut from, &mut classes.0), (&mut to, &mut classes.1)] {
            if let [(at, now), rest @ ..] = *runs
                && *at == here
            {
                *class = *now;
                *runs = rest;
            }
        }
        runs.push((here, pairs.number(classes)));
        let next = [from.first(), to.first()].into_iter().flatten();
        match next.map(|run| run.0).min() {
            Some(next) => here = next,
            None => return runs,
        }
    }
}

/// All addresses, cut by both plans.
struct Pieces<'a> {
    plans: [&'a Plan; 2],
    pairs: Vec<Pair>,
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u32)>,
}

/// What is told apart in a change beside its VLANs.
type Told = (Passage, Passage, ServiceSet, Addresses);

impl Pieces<'_> {
    fn direction(&self, direction: Direction) -> Vec<Change> {
        let columns = Columns::of(self.plans.map(|plan| &plan.directions[direction as usize]));
        let mut told: Numbers<Told> = Numbers::new();
        let mut vlans_of: Vec<BTreeSet<u16>> = Vec::new();
        for (vlans, ids) in self.vlans() {
            for change in self.in_vlan(direction, vlans, &columns) {
                let number = told.number(change) as usize;
                vlans_of.resize(vlans_of.len().max(number + 1), BTreeSet::new());
                vlans_of[number].extend(&ids);
            }
        }
        let changes = told.values.into_iter().zip(vlans_of);
        let changes = changes.map(|((from, to, services, peers), vlans)| Change {
            direction,
            vlans: some(&vlans),
            from,
            to,
            services,
            peers,
        });
        changes.collect()
    }

    /// The pairs of VLAN classes, and the VLANs of each.
    fn vlans(&self) -> Vec<(Pair, Vec<u16>)> {
        let mut pairs = Numbers::new();
        let mut ids: Vec<Vec<u16>> = Vec::new();
        for vlan in 0..=LAST {
            let [from, to] = self.plans.map(|plan| plan.vlan_class(vlan));
            let pair = pairs.number((from, to)) as usize;
            ids.resize(ids.len().max(pair + 1), Vec::new());
            ids[pair].push(vlan);
        }
        pairs.values.into_iter().zip(ids).collect()
    }

    fn in_vlan(&self, direction: Direction, vlans: Pair, columns: &Columns) -> Vec<Told> {
        let mut passages = Numbers::new();
        // Rows that differ in the rule that decides, but not in what it decides, are one.
        let [from, to] = [(0, vlans.0), (1, vlans.1)].map(|(side, vlan)| {
            let plan = self.plans[side];
            let matrix = &plan.directions[direction as usize];
            let width = matrix.columns as usize;
            let first = usize::from(vlan) * plan.rows as usize;
            let mut rows = Numbers::new();
            let of_class: Vec<u32> = (first..first + plan.rows as usize)
                .map(|row| {
                    let cells = &matrix.cells[row * width..(row + 1) * width];
                    let cells = cells.iter().map(|word| Passage::of(plan, *word));
                    rows.number(cells.map(|passage| passages.number(passage)).collect())
                })
                .collect();
            (of_class, rows.values)
        });
        let mut rows = Numbers::new();
        let row_of_pair: Vec<u32> = self
            .pairs
            .iter()
            .map(|pair| rows.number((from.0[usize::from(pair.0)], to.0[usize::from(pair.1)])))
            .collect();
        let peers = self.addresses(&row_of_pair, rows.values.len());
        let mut told: HashMap<(u32, u32, Vec<u32>), Vec<&ServiceSet>> = HashMap::new();
        for (pair, services) in &columns.0 {
            let mut differing: HashMap<(u32, u32), Vec<u32>> = HashMap::new();
            for (number, row) in (0..).zip(&rows.values) {
                let was: &Vec<u32> = &from.1[row.0 as usize];
                let will = &to.1[row.1 as usize];
                let change = (was[usize::from(pair.0)], will[usize::from(pair.1)]);
                if change.0 != change.1 {
                    differing.entry(change).or_default().push(number);
                }
            }
            for ((was, will), rows) in differing {
                told.entry((was, will, rows)).or_default().push(services);
            }
        }
        let passage = |number: u32| passages.values[number as usize];
        let told = told
            .into_iter()
            .filter_map(|((was, will, rows), services)| {
                let services = ServiceSet::union(services.into_iter());
                let peers = Addresses::union(rows.iter().map(|row| &peers[*row as usize]));
                let peers = possible(&services, peers)?;
                Some((passage(was), passage(will), services, peers))
            });
        told.collect()
    }

    /// The addresses of each row.
    fn addresses(&self, row_of_pair: &[u32], rows: usize) -> Vec<Addresses> {
        let mut addresses = vec![Addresses::default(); rows];
        let row = |pair: u32| row_of_pair[pair as usize] as usize;
        for (range, pair) in spans(&self.v4) {
            addresses[row(pair)].v4.push(range);
        }
        for (range, pair) in spans(&self.v6) {
            addresses[row(pair)].v6.push(range);
        }
        addresses
    }
}

/// Those of the peers that can ask for the services: ICMP is of IPv4 only, `ICMPv6` of
/// IPv6. `None`: nobody.
fn possible(services: &ServiceSet, mut peers: Addresses) -> Option<Addresses> {
    if services.is_only_of(ICMP) {
        peers.v6.clear();
    }
    if services.is_only_of(ICMPV6) {
        peers.v4.clear();
    }
    (!peers.is_empty()).then_some(peers)
}

/// `None` of all VLANs.
fn some(vlans: &BTreeSet<u16>) -> Option<VlanSet> {
    if vlans.len() == usize::from(LAST) + 1 {
        return None;
    }
    let range = |vlan: &u16| VlanRange {
        first: *vlan,
        last: *vlan,
    };
    Some(vlans.iter().map(range).collect())
}

/// All services of a direction, cut by both plans: the pairs of service classes that hold
/// any.
struct Columns(Vec<(Pair, ServiceSet)>);

impl Columns {
    fn of(plans: [&DirectionPlan; 2]) -> Self {
        let tables = plans.map(|plan| {
            let [tcp, udp, sctp] = &plan.ports;
            let [icmp, icmpv6] = &plan.icmp;
            [tcp, udp, sctp, icmp, icmpv6, &plan.protocols]
        });
        let mut pairs = Numbers::new();
        let of: [Vec<u32>; 6] = std::array::from_fn(|slot| {
            let [from, to] = tables.map(|tables| tables[slot].iter().copied());
            // Neighbours are of one class nearly always.
            let mut last = None;
            let mut number = |pair| match last {
                Some((known, number)) if known == pair => number,
                _ => {
                    let number = pairs.number(pair);
                    last = Some((pair, number));
                    number
                }
            };
            from.zip(to).map(&mut number).collect()
        });
        let class = |slot: usize, number| of[slot][usize::from(number)];
        let sets = ServiceSet::classes(pairs.values.len(), class);
        let columns = pairs.values.into_iter().zip(sets);
        Self(columns.filter(|(_, set)| !set.is_empty()).collect())
    }
}

/// What the change is for one peer, one service and one VLAN; `None`: it is none.
#[must_use]
pub fn find(
    changes: &[Change],
    direction: Direction,
    vlan: u16,
    peer: IpAddr,
    service: Service,
) -> Option<&Change> {
    changes.iter().find(|change| {
        change.direction == direction
            && change.vlans.as_ref().is_none_or(|set| set.contains(vlan))
            && change.services.contains(service)
            && change.peers.contains(peer)
    })
}
