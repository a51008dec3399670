//! The rows of a report: what came from one peer to one service, or went there.
//!
//! Peers that the inventory knows are one row each, whatever addresses they have. Of the
//! world every address is a row, up to a few; more are summed, so that a scan is one line.
//! Each row is called by a hash of what it is about: the same after more has come, after a
//! restart, and whatever else there is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::{Answer, Class, Entry, Source, service};
use crate::harm::{Because, Way};

/// World addresses of one service that have rows of their own; more are summed.
const APART: usize = 4;
/// Bytes of an id.
const ID: usize = 4;
/// Digits by which one may be called at least.
const SHORTEST: usize = 4;

/// Which rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Select {
    /// What was dropped, not what audit mode let pass.
    pub dropped: bool,
    /// Also what the plan in force lets pass.
    pub all: bool,
    /// Only what was seen since, in seconds since 1970.
    pub since: u64,
    /// Only one direction.
    pub direction: Option<Way>,
    /// Every address of the world in a row of its own.
    pub addresses: bool,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// By which it is called.
    pub id: String,
    /// It was dropped; otherwise audit mode let it pass.
    pub dropped: bool,
    /// Which way.
    pub direction: Way,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port, or type of ICMP.
    pub service: u16,
    /// Id of the VLAN, 0 for none.
    pub vlan: u16,
    /// Why it was not allowed then.
    pub class: Class,
    /// Who the peers are.
    pub source: Source,
    /// Their addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// How often it was reported.
    pub count: u64,
    /// First and last, in seconds since 1970.
    pub first: u64,
    /// And last.
    pub last: u64,
    /// The plan in force lets it pass.
    pub passes: bool,
    /// What of it decides.
    pub because: BTreeSet<Because>,
    /// What it is made of.
    pub entries: Vec<Entry>,
}

/// What makes a row; and apart from that, whether it passes.
type Key<'a> = (Way, u8, u16, u16, Class, &'a Source, Option<IpAddr>);

impl Select {
    fn takes(&self, entry: &Entry) -> bool {
        entry.dropped == self.dropped
            && (self.all || !entry.passes)
            && entry.last >= self.since
            && self.direction.is_none_or(|way| way == entry.direction)
    }
}

impl Group {
    /// `22/TCP ssh`, and the VLAN, if there is one.
    #[must_use]
    pub fn service(&self) -> String {
        let service = service(self.protocol, self.service);
        match self.vlan {
            0 => service,
            vlan => format!("{service} vlan {vlan}"),
        }
    }
}

/// The rows that `select` takes, those that came most often first.
#[must_use]
pub fn groups(answer: &Answer, select: &Select) -> Vec<Group> {
    let taken: Vec<_> = answer.entries.iter().filter(|e| select.takes(e)).collect();
    let apart = |entries: &[&Entry]| {
        let remotes: BTreeSet<_> = entries.iter().map(|entry| entry.remote).collect();
        select.addresses || remotes.len() <= APART
    };
    let mut together: BTreeMap<(Key<'_>, bool), Vec<&Entry>> = BTreeMap::new();
    for entry in taken {
        // Of a daemon of another version.
        let Some(source) = answer.sources.get(entry.source) else {
            continue;
        };
        let key = (key(entry, source), entry.passes);
        together.entry(key).or_default().push(entry);
    }
    let mut found = Vec::new();
    for ((key, _), entries) in together {
        if is_world(key.5) && apart(&entries) {
            let mut each: BTreeMap<IpAddr, Vec<&Entry>> = BTreeMap::new();
            for entry in entries {
                each.entry(entry.remote).or_default().push(entry);
            }
            let one = |(remote, entries): (_, Vec<_>)| group(apart_key(key, remote), &entries);
            found.extend(each.into_iter().map(one));
        } else {
            found.push(group(key, &entries));
        }
    }
    found.sort_by_key(|group| (Reverse(group.count), Reverse(group.last), group.id.clone()));
    found
}

/// The row that is called so, or by the first digits of that, of all kinds that
/// `select` does not leave out: dropped or audited, summed or apart.
///
/// # Errors
/// There is none, or more than one.
pub fn find(answer: &Answer, select: &Select, called: &str) -> Result<Vec<Group>, String> {
    let called = called.to_ascii_lowercase();
    if called.len() < SHORTEST || !called.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!(
            "{called:?} names no row: rows are called by their ID, of which {SHORTEST} digits \
             are enough"
        ));
    }
    let mut rows: BTreeMap<String, Vec<Group>> = BTreeMap::new();
    let ways = [(false, false), (false, true), (true, false), (true, true)];
    // Whoever asks for what was dropped does not mean what passed.
    for (dropped, addresses) in ways.into_iter().filter(|way| way.0 || !select.dropped) {
        let select = Select {
            dropped,
            addresses,
            ..*select
        };
        let matching = groups(answer, &select).into_iter();
        for group in matching.filter(|group| group.id.starts_with(&called)) {
            let known = rows.entry(group.id.clone()).or_default();
            if !known.contains(&group) {
                known.push(group);
            }
        }
    }
    let mut rows = rows.into_values();
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row),
        (None, _) => Err(format!("there is no row {called}")),
        (Some(one), Some(other)) => Err(format!(
            "{called} may be {} or {}: write more digits",
            one[0].id, other[0].id
        )),
    }
}

fn is_world(source: &Source) -> bool {
    source.entity.as_deref() == Some("world") && source.name == "world"
}

fn key<'a>(entry: &Entry, source: &'a Source) -> Key<'a> {
    (
        entry.direction,
        entry.protocol,
        entry.service,
        entry.vlan,
        entry.class,
        source,
        None,
    )
}

fn apart_key(key: Key<'_>, remote: IpAddr) -> Key<'_> {
    let (way, protocol, service, vlan, class, source, _) = key;
    (way, protocol, service, vlan, class, source, Some(remote))
}

fn group(key: Key<'_>, entries: &[&Entry]) -> Group {
    let (direction, protocol, service, vlan, class, source, _) = key;
    Group {
        id: id(key),
        dropped: entries[0].dropped,
        direction,
        protocol,
        service,
        vlan,
        class,
        source: source.clone(),
        addresses: entries.iter().map(|entry| entry.remote).collect(),
        count: entries
            .iter()
            .fold(0, |sum: u64, entry| sum.saturating_add(entry.count)),
        first: entries.iter().map(|entry| entry.first).min().unwrap_or(0),
        last: entries.iter().map(|entry| entry.last).max().unwrap_or(0),
        passes: entries[0].passes,
        because: entries.iter().map(|entry| entry.because.clone()).collect(),
        entries: entries.iter().copied().cloned().collect(),
    }
}

fn id((direction, protocol, service, vlan, class, source, remote): Key<'_>) -> String {
    let egress = direction == Way::Egress;
    let peer = match remote {
        Some(remote) => remote.to_string(),
        None => format!("{}\n{}", source.name, source.labels.join("\n")),
    };
    let class = class as u8;
    let text = format!("{egress} {protocol} {service} {vlan} {class} {peer}");
    let digest = Sha256::digest(text);
    digest[..ID]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
