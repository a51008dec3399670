//! What a change would cut, one by one, and then grouped.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use fw_common::wire::{FlowKey, Origin, VerdictWord};

use super::fate::first;
use super::report::{Because, Cut, Few, Harm, Kind};
use super::seeds::{key, origins};
use super::{Judge, LATELY, Traffic};
use crate::engine::Flow;
use crate::sockets::{Began, State, TCP};

/// One connection, or one peer of a service.
struct One {
    kind: Kind,
    flow: Flow,
    word: VerdictWord,
    count: u64,
    age: Option<u64>,
}

/// What passes now and would be dropped by `new`. `old`: what judges now; `None`: nothing
/// does, and everything passes.
#[must_use]
pub fn harm(old: Option<&Judge<'_>>, new: &Judge<'_>, traffic: &Traffic<'_>) -> Harm {
    let leap = Leap { old, new, traffic };
    let mut ones = leap.open();
    let of = |one: &One| {
        (
            one.flow.direction,
            one.flow.protocol,
            one.flow.peer(),
            service(&one.flow),
        )
    };
    let told: BTreeSet<_> = ones.iter().map(of).collect();
    ones.extend(leap.seen().filter(|one| !told.contains(&of(one))));
    Harm::new(grouped(new, &ones), traffic.sockets.notes.clone())
}

struct Leap<'a> {
    old: Option<&'a Judge<'a>>,
    new: &'a Judge<'a>,
    traffic: &'a Traffic<'a>,
}

impl Leap<'_> {
    fn passes_now(&self, flow: &Flow) -> bool {
        self.old.is_none_or(|old| old.drops(flow).is_none())
    }

    /// Connections: of sockets, and of whom the node answers for (containers whose ports
    /// it publishes), which have their sockets elsewhere.
    fn open(&self) -> Vec<One> {
        let traffic = self.traffic;
        let mut ones = Vec::new();
        let mut known = BTreeSet::new();
        for open in &traffic.sockets.connections {
            let own = open.protocol == TCP
                && traffic
                    .asker
                    .is_some_and(|asker| asker.client == open.remote);
            known.insert(key(open.protocol, open.local, open.remote));
            let began = if own { Began::Peer } else { open.began };
            if open.state == State::Closing {
                // Nobody loses anything any more.
                continue;
            }
            ones.extend(self.cut(own, began, open.protocol, open.local, open.remote));
        }
        if let Some(asker) = traffic.asker
            && known.insert(key(TCP, asker.server, asker.client))
            && !ones.iter().any(|one| one.kind == Kind::OwnSsh)
        {
            ones.extend(self.cut(true, Began::Peer, TCP, asker.server, asker.client));
        }
        for flow in traffic.remembered {
            if !known.contains(&flow.key) && u64::from(flow.idle) <= LATELY {
                let began = match flow.origin {
                    Origin::Remote => Began::Peer,
                    Origin::Local => Began::Node,
                };
                let (local, remote) = ends(&flow.key);
                ones.extend(self.cut(false, began, flow.key.protocol, local, remote));
            }
        }
        ones
    }

    /// The connection, if it would be cut.
    fn cut(
        &self,
        own: bool,
        began: Began,
        protocol: u8,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<One> {
        if !self.traffic.is_judged(local.ip(), remote.ip()) {
            return None;
        }
        let vlan = self.traffic.places.vlan(local.ip());
        let flows = || {
            let origins = origins(began).iter();
            origins.map(|origin| first(*origin, protocol, local, remote, vlan))
        };
        if !flows().any(|flow| self.passes_now(&flow)) {
            return None;
        }
        let mut denied: Option<(Flow, VerdictWord, bool)> = None;
        for flow in flows() {
            let word = self.new.drops(&flow)?;
            let passes = self.passes_now(&flow);
            // Where either side may have begun it: what denied it before does not cut it.
            if denied.as_ref().is_none_or(|(.., passed)| passes && !passed) {
                denied = Some((flow, word, passes));
            }
        }
        let (flow, word, _) = denied?;
        let ssh = protocol == TCP
            && began != Began::Node
            && self.traffic.ssh_ports.contains(&local.port());
        let kind = match (own, ssh) {
            (true, _) => Kind::OwnSsh,
            (false, true) => Kind::Ssh,
            (false, false) => Kind::Open,
        };
        Some(One {
            kind,
            flow,
            word,
            count: 1,
            age: None,
        })
    }

    /// What was allowed lately, and would be denied. What the plan in force denies, too, was
    /// allowed by one before it: in audit mode that would be audited by now.
    fn seen(&self) -> impl Iterator<Item = One> {
        let lately = self.traffic.seen.iter().filter(|seen| seen.age <= LATELY);
        lately.filter_map(|seen| {
            let flow = seen.flow();
            let judged = self.traffic.is_judged(seen.local, seen.remote);
            if !judged || self.old.is_some_and(|old| old.denies(&flow).is_some()) {
                return None;
            }
            Some(One {
                kind: Kind::Seen,
                word: self.new.drops(&flow)?,
                flow,
                count: seen.count,
                age: Some(seen.age),
            })
        })
    }
}

fn ends(key: &FlowKey) -> (SocketAddr, SocketAddr) {
    let local = SocketAddr::new(key.local.into(), key.local_port);
    (local, SocketAddr::new(key.remote.into(), key.remote_port))
}

/// One group for each service and what denies it, the operator's own session first.
fn grouped(new: &Judge<'_>, ones: &[One]) -> Vec<Cut> {
    let mut groups: BTreeMap<_, Vec<&One>> = BTreeMap::new();
    for one in ones {
        let service = (one.flow.direction, one.flow.protocol, service(&one.flow));
        let group = (one.kind, service, one.word.0);
        groups.entry(group).or_default().push(one);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| (group[0].kind, Reverse(group.len())));
    groups.iter().map(|group| cut(new, group)).collect()
}

/// One line of what is cut.
fn cut(new: &Judge<'_>, group: &[&One]) -> Cut {
    let One {
        kind, flow, word, ..
    } = group[0];
    let peers: BTreeSet<_> = group.iter().map(|one| one.flow.peer()).collect();
    Cut {
        kind: *kind,
        count: group.iter().map(|one| one.count).sum(),
        direction: flow.direction.into(),
        protocol: flow.protocol,
        service: service(flow),
        source: SocketAddr::new(flow.source, flow.source_port),
        destination: SocketAddr::new(flow.destination, flow.destination_port),
        peers: Few::of(peers),
        seconds_ago: group.iter().filter_map(|one| one.age).min(),
        because: Because::of(new.plan, flow.direction, *word),
    }
}

/// Port, or type of ICMP: the other of them is 0.
fn service(flow: &Flow) -> u16 {
    flow.destination_port.max(u16::from(flow.icmp_type))
}
