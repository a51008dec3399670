//! Every address that anybody has said something about: who it is, what rules can tell
//! it apart from, and where it was said.
//!
//! A row is a prefix of the inventory, of a policy, of a `CiliumCIDRGroup`, of a failsafe
//! entry, or an own address. Identities are those that events name, classes those of the
//! plan. Lists of prefixes (a million lines of somebody else's) are no rows, and are told
//! of a single address.

mod classes;
mod marks;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::daemon::Compiled;
use crate::diff::short_labels as short;
use crate::inventory::{How, Written};
use crate::netlink::Network;
use crate::observe::filter::Labels;
use crate::observe::{HOST, Identity, in_groups};
use crate::policy::label::{Label, LabelSet};
use crate::policy::schema::CidrGroup;
use marks::{Mark, Marks};

/// Version of the JSON.
pub const SCHEMA: u32 = 1;
/// Rows that an answer has at most.
pub const MOST: usize = 10_000;
/// Bytes of JSON after which an answer ends; the row that goes beyond is still in it.
const BYTES: usize = 8 << 20;
/// Places that a row names; more are counted.
const NAMED: usize = 16;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Only what holds this address, the longest prefix first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Only of the identity with this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<u32>,
    /// Only of identities that this selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Labels>,
    /// Only rows behind this prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<IpNet>,
    /// So many rows at most; more than [`MOST`] are never answered.
    pub limit: usize,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The node.
    pub node: String,
    /// Number of the plan in force; `None`: of files.
    pub generation: Option<u64>,
    /// Of the address that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Asked>,
    /// Sorted by prefix, IPv4 first; of one address the longest first.
    pub peers: Vec<Peer>,
    /// Rows that were meant, on this page and all others.
    pub total: usize,
    /// Where there are rows behind these: the last of these, for [`Query::after`].
    pub next: Option<IpNet>,
}

/// Who an address is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The address.
    pub address: IpAddr,
    /// Its identity.
    pub identity: Identity,
    /// That in words.
    pub name: String,
    /// Its peer class.
    pub class: u16,
    /// The first of the addresses around it that are all of this class.
    pub first: IpAddr,
    /// The last of them.
    pub last: IpAddr,
    /// The prefixes of lists that hold it, with list and line.
    pub lists: Vec<String>,
    /// Its ban, if there is one.
    pub ban: Option<String>,
}

/// A prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The prefix.
    pub prefix: IpNet,
    /// The identity of its addresses, but for those in longer prefixes.
    pub identity: Identity,
    /// That in words: `app=web in shop`, `remote-node (node b)`, `world`.
    pub name: String,
    /// The peer classes of its addresses, but for those in longer prefixes; empty: all of
    /// them are in longer ones.
    pub classes: Vec<u16>,
    /// There are more classes than that.
    pub more_classes: bool,
    /// Who says something of just this prefix.
    pub from: Vec<Said>,
    /// Others that do, too.
    pub more_from: usize,
}

/// What somebody says of a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What it means here.
    pub role: Role,
    /// Kind of the object: `Pod`, `CiliumCIDRGroup`, `policy`, `failsafe`, `interface`, …
    pub kind: String,
    /// Its name; may be empty.
    pub name: String,
    /// `path:line`; empty where it stands in no file.
    pub place: String,
    /// Whom it names, where that does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
}

/// What it means that something is said of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It says who it is, and that counts.
    Identity,
    /// It says the same as the one that counts.
    Same,
    /// It says that the address is one of the API server's.
    ApiServer,
    /// It says that it is somebody else, and does not count.
    Overruled,
    /// It is an address of the node.
    Own,
    /// It is a prefix that a rule means.
    Meant,
    /// It is a prefix that a rule leaves out.
    LeftOut,
}

/// What the answer is made of.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Policies, inventory and plan.
    pub compiled: &'a Compiled,
    /// Number of the plan in force; `None`: of files.
    pub generation: Option<u64>,
    /// Links and addresses of the node; `None`: not known.
    pub network: Option<&'a Network>,
    /// Whether an address is banned: what to say of it.
    pub ban: &'a dyn Fn(IpAddr) -> Option<String>,
}

/// Whether every address of the prefix is in a prefix of the group.
fn holds_all(group: &CidrGroup, prefix: IpNet) -> bool {
    match group.prefixes.find(prefix.addr(), group.now) {
        None => false,
        Some((found, _)) if found.prefix_len() <= prefix.prefix_len() => true,
        // A shorter one may be there too; a list may be too long to be looked through.
        Some(_) => group.line.is_some() && group.live().any(|(net, _)| net.contains(&prefix)),
    }
}

/// Answers.
#[must_use]
pub fn peers(known: &Known<'_>, query: &Query) -> Peers {
    let table = Table::new(*known);
    let limit = query.limit.min(MOST);
    let mut chosen = Vec::new();
    let mut total = 0;
    let mut more = false;
    let sets = query.identity.map(|number| table.numbered(number));
    for at in 0..table.prefixes.len() {
        if !table.is_meant(at, query, sets.as_deref()) {
            continue;
        }
        total += 1;
        if query.after.is_some_and(|after| table.prefixes[at] <= after) {
            continue;
        }
        if chosen.len() < limit {
            chosen.push(at);
        } else {
            more = true;
        }
    }
    let mut peers = Vec::with_capacity(chosen.len());
    let mut bytes = 0;
    for at in chosen {
        if bytes > BYTES {
            more = true;
            break;
        }
        let peer = table.peer(at);
        // What cannot be written counts as nothing, and fails where it is sent.
        bytes += serde_json::to_string(&peer).map_or(0, |text| text.len());
        peers.push(peer);
    }
    let next = peers.last().filter(|_| more).map(|last| last.prefix);
    if query.address.is_some() {
        peers.reverse();
    }
    Peers {
        schema: SCHEMA,
        node: known.compiled.inputs.node.clone(),
        generation: known.generation,
        address: query.address.map(|address| table.asked(address)),
        peers,
        total,
        next,
    }
}

/// Every row, as far as all of them are needed at once.
struct Table<'a> {
    known: Known<'a>,
    marks: Marks<'a>,
    /// Sorted, none twice.
    prefixes: Vec<IpNet>,
    /// Of an own address that no inventory lists.
    host: LabelSet,
}

impl<'a> Table<'a> {
    fn new(known: Known<'a>) -> Self {
        let marks = Marks::new(&known);
        let identities = known.compiled.identities.identities();
        let entries = identities.entries_with_world().map(|(prefix, _)| prefix);
        let mut prefixes: Vec<IpNet> = entries.chain(marks.prefixes()).collect();
        // Not unstable: two runs that are sorted already are only merged.
        prefixes.sort();
        prefixes.dedup();
        Self {
            known,
            marks,
            prefixes,
            host: [Label::reserved("host")].into_iter().collect(),
        }
    }

    /// The label sets that have a number.
    fn numbered(&self, number: u32) -> Vec<&'a LabelSet> {
        self.known.compiled.identities.sets(number)
    }

    /// The labels of a row, by the entry whose prefix is the longest around it.
    fn labels(&self, prefix: IpNet) -> &'a LabelSet {
        let identities = self.known.compiled.identities.identities();
        identities.entry(identities.around(prefix)).1
    }

    fn is_meant(&self, at: usize, query: &Query, sets: Option<&[&LabelSet]>) -> bool {
        let prefix = self.prefixes[at];
        if query
            .address
            .is_some_and(|address| !prefix.contains(&address.to_canonical()))
        {
            return false;
        }
        if query.identity.is_none() && query.label.is_none() {
            return true;
        }
        let labels = self.labels(prefix);
        let is_host = self.marks.is_own(prefix) && !labels.is_host();
        let labels = if is_host { &self.host } else { labels };
        let numbered = match is_host {
            true => query.identity.is_none_or(|number| number == HOST),
            false => sets.is_none_or(|sets| sets.contains(&labels)),
        };
        let selector = query.label.as_ref();
        numbered && selector.is_none_or(|selector| selector.0.matches(labels))
    }

    fn peer(&self, at: usize) -> Peer {
        let prefix = self.prefixes[at];
        let labels = self.labels(prefix);
        let own = self.marks.is_own(prefix);
        let identity = self.identity(labels, own, |group| holds_all(group, prefix));
        let (classes, more_classes) =
            classes::of_row(&self.known.compiled.plan.peers, &self.prefixes, at);
        let mut from = self.said_of_identity(prefix);
        from.extend(self.marks.of(prefix).map(Mark::said));
        from.dedup();
        let more_from = from.len().saturating_sub(NAMED);
        from.truncate(NAMED);
        let single = prefix.prefix_len() == prefix.max_prefix_len();
        Peer {
            prefix,
            name: self.name(&identity, labels, single.then(|| prefix.addr())),
            identity,
            classes,
            more_classes,
            from,
            more_from,
        }
    }

    /// As events name it: an address of the node is the host's, whoever else may claim it.
    fn identity(
        &self,
        labels: &LabelSet,
        own: bool,
        holds: impl Fn(&CidrGroup) -> bool,
    ) -> Identity {
        let identity = self.known.compiled.identities.identity_of(labels);
        let identity = in_groups(identity, &self.known.compiled.groups, holds);
        if own && identity.number != HOST {
            return Identity::host().as_ref().clone();
        }
        identity.as_ref().clone()
    }

    fn name(&self, identity: &Identity, labels: &LabelSet, address: Option<IpAddr>) -> String {
        let name = match identity.reserved_name() {
            Some(name) => name.to_owned(),
            None => short(labels),
        };
        let node = address.and_then(|address| self.known.compiled.node_names.get(&address));
        match node {
            Some(node) => format!("{name} (node {node})"),
            None => name,
        }
    }

    /// The claim that counts, and those beside it.
    fn said_of_identity(&self, prefix: IpNet) -> Vec<Said> {
        let identities = self.known.compiled.identities.identities();
        let (around, labels, written) = identities.entry(identities.around(prefix));
        if around != prefix {
            return Vec::new();
        }
        let mut from: Vec<Said> = written
            .map(|at| said(Role::Identity, at))
            .into_iter()
            .collect();
        for (how, written) in identities.beside(prefix) {
            let Some(written) = written else {
                continue;
            };
            from.push(match how {
                How::ApiServer if labels.is_reserved("kube-apiserver") => {
                    said(Role::ApiServer, written)
                }
                How::ApiServer => Said {
                    says: Some("kube-apiserver".into()),
                    ..said(Role::Overruled, written)
                },
                // A label of the API server's more is no other identity.
                How::Claims(theirs) if same(labels, theirs) => said(Role::Same, written),
                How::Claims(theirs) => Said {
                    says: Some(short(theirs)),
                    ..said(Role::Overruled, written)
                },
            });
        }
        from
    }

    fn asked(&self, address: IpAddr) -> Asked {
        let address = address.to_canonical();
        let compiled = self.known.compiled;
        let labels = compiled.identities.labels(address);
        let own = self.marks.is_own(address.into());
        let identity = self.identity(labels, own, |group| {
            group.prefixes.find(address, group.now).is_some()
        });
        let (first, last, class) = compiled.plan.peers.find(address);
        let lists = compiled.groups.iter().filter(|group| group.line.is_none());
        let lists = lists.filter_map(|list| {
            let (prefix, line) = list.prefixes.find(address, list.now)?;
            Some(match line {
                0 => format!(
                    "{prefix} is in the list {} ({}, which has lost it, for a while still)",
                    list.name, list.file
                ),
                line => format!(
                    "{prefix} is in the list {} ({}:{line})",
                    list.name, list.file
                ),
            })
        });
        Asked {
            address,
            name: self.name(&identity, labels, Some(address)),
            identity,
            class,
            first,
            last,
            lists: lists.collect(),
            ban: (self.known.ban)(address),
        }
    }
}

/// Whether one has at most the label of the API server more than the other.
fn same(labels: &LabelSet, theirs: &LabelSet) -> bool {
    let without = |set: &LabelSet| -> LabelSet {
        let labels = set.as_slice().iter();
        let labels =
            labels.filter(|label| !(label.source == "reserved" && label.key == "kube-apiserver"));
        labels.cloned().collect()
    };
    labels == theirs || without(labels) == without(theirs)
}

fn said(role: Role, at: Written<'_>) -> Said {
    Said {
        role,
        kind: at.kind.into(),
        name: at.name.into(),
        place: format!("{}:{}", at.file, at.line),
        says: None,
    }
}

#[cfg(test)]
mod tests;
