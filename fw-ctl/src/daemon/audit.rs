//! What the ledger tells whoever asks: its rows, judged by the plan in force, with names.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use fw_common::wire::DropReason;

use super::ledger::{Key, Row};
use super::{Compiled, Firewall, Kernel, Sources};
use crate::audit::{Answer, Class, Entry, SCHEMA, Source};
use crate::compile::plan::Mode;
use crate::control::protocol::Failure;
use crate::diff::{named_groups, short_labels};
use crate::exit;
use crate::harm::Judge;
use crate::moment;
use crate::observe::Identify;
use crate::policy::schema::CidrGroup;

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Stores what was not allowed: now, or if that was not done for a while.
    pub fn keep_ledger(&mut self, now: bool) {
        if now {
            self.ledger.save(&self.recent);
        } else {
            self.ledger.save_in_time(&self.recent);
        }
    }

    /// What audit mode has let pass, and what was dropped.
    ///
    /// # Errors
    /// When no plan is known by which it could be judged.
    pub fn audit(&self) -> Result<Answer, Failure> {
        let Some((in_force, compiled)) = &self.installed else {
            let message = "no policy was accepted since the daemon started: there is nothing \
                           to judge by";
            return Err(
                Failure::new(exit::UNREACHABLE, message).help("fw-ctl status names the errors")
            );
        };
        let now = moment::now();
        let unseen = match self.kernel.lost_events()? {
            0 => None,
            count => Some(format!(
                "{count} verdicts since the tables were made were not reported one by one, for \
                 there were too many at once: whoever came only then is not in the report"
            )),
        };
        let (ledger, banned) = {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            (recent.ledger.clone(), self.banned())
        };
        let judge = Judge {
            plan: &compiled.plan,
            mode: Mode::Enforce,
            banned: &banned,
        };
        let mut sources = Named::new(compiled);
        let rows = [(false, &ledger.audited), (true, &ledger.dropped)];
        let rows = rows
            .into_iter()
            .flat_map(|(dropped, rows)| rows.sorted().map(move |row| (dropped, row)));
        let entries = rows.filter_map(|(dropped, (key, row))| {
            let source = sources.of(key.remote);
            entry(&judge, dropped, (&key, &row), source, now)
        });
        let entries = entries.collect();
        Ok(Answer {
            schema: SCHEMA,
            mode: in_force.mode.name().to_owned(),
            now,
            sources: sources.all,
            entries,
            displaced_audited: ledger.audited.displaced(),
            displaced_dropped: ledger.dropped.displaced(),
            notes: self.ledger.notes().cloned().chain(unseen).collect(),
        })
    }
}

/// `None`: of a reason that this version does not know.
fn entry(
    judge: &Judge<'_>,
    dropped: bool,
    (key, row): (&Key, &Row),
    source: usize,
    now: u64,
) -> Option<Entry> {
    let reason = DropReason::from_slot(key.reason)?;
    let seen = key.seen(row, now);
    let (passes, because) = judge.opinion(&seen, reason);
    Some(Entry {
        dropped,
        direction: seen.direction.into(),
        protocol: key.protocol,
        service: key.service,
        vlan: key.vlan,
        local: row.local,
        remote: key.remote,
        source,
        class: Class::from(reason),
        first: row.first,
        last: row.last,
        count: row.count,
        passes,
        because,
    })
}

/// Names for peers, each once.
struct Named<'a> {
    compiled: &'a Compiled,
    groups: BTreeMap<&'a str, &'a Arc<CidrGroup>>,
    all: Vec<Source>,
    places: BTreeMap<Source, usize>,
}

impl<'a> Named<'a> {
    fn new(compiled: &'a Compiled) -> Self {
        Self {
            compiled,
            groups: named_groups(&compiled.rules),
            all: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    fn of(&mut self, address: IpAddr) -> usize {
        let source = self.source(address);
        *self.places.entry(source).or_insert_with_key(|source| {
            self.all.push(source.clone());
            self.all.len() - 1
        })
    }

    fn source(&self, address: IpAddr) -> Source {
        if address.is_unspecified() {
            return Source {
                name: "not readable".to_owned(),
                entity: None,
                labels: Vec::new(),
            };
        }
        let identity = self.compiled.identities.identity(address);
        let entity = identity.reserved_name();
        let name = match (self.compiled.node_names.get(&address), entity) {
            (Some(node), Some(entity)) => format!("{node} ({entity})"),
            (_, Some("world")) => {
                let mut groups = self.groups.iter();
                let holds = |group: &CidrGroup| group.prefixes.find(address, group.now).is_some();
                let group = groups.find(|(_, group)| holds(group));
                group.map_or_else(
                    || "world".to_owned(),
                    |(name, _)| format!("CIDR group {name}"),
                )
            }
            (_, Some(entity)) => entity.to_owned(),
            (_, None) => short_labels(self.compiled.identities.labels(address)),
        };
        // The two halves of the world are one peer here: the family stands in the address.
        let labels = match entity {
            Some("world") => Vec::new(),
            _ => identity.labels.clone(),
        };
        Source {
            name,
            entity: entity.map(str::to_owned),
            labels,
        }
    }
}
