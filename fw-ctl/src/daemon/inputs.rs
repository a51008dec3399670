//! Everything that a plan is made from, as it was read.
//!
//! A plan is a function of this value alone, so that it can be made again after
//! the files have changed or broken.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::kept_lists::hex;
use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, Source};
use crate::lists::moment::{self, Moment};
use crate::lists::{Found, List, ListFiles};
use crate::moment::rfc3339;
use crate::texts::Text;
use crate::{inventory, policy};

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The configuration, all layers together.
    pub config: Config,
    /// Name of the node.
    pub node: String,
    /// The ports of this machine's sshd.
    pub ssh_ports: BTreeSet<u16>,
    /// The files of policies, in order.
    pub policies: Vec<Arc<Source>>,
    /// The files of the inventory, in order.
    pub inventory: Vec<Arc<Source>>,
    /// The lists of the inventory, by file. On disk they have files of their own.
    #[serde(skip)]
    pub lists: Vec<Arc<List>>,
    /// The time, as far as it matters: when an entry of the lists last expired. So
    /// equal inputs make equal plans, and time alone does not make others.
    #[serde(default)]
    pub expired: Moment,
}

impl Inputs {
    /// Reads the files that `config` names. What cannot be read is told beside.
    #[must_use]
    pub fn read(config: &Config, files: &ListFiles) -> (Self, Vec<Diagnostic>) {
        let (mut inputs, mut unreadable) = Self::read_texts(config);
        unreadable.extend(inputs.add_lists(read_lists(config, files), moment::now()));
        (inputs, unreadable)
    }

    /// As [`Self::read`], without the lists.
    #[must_use]
    pub fn read_texts(config: &Config) -> (Self, Vec<Diagnostic>) {
        let mut unreadable = Vec::new();
        let mut readable = |texts: Vec<Text>| {
            let mut sources = Vec::new();
            for text in texts {
                match text {
                    Ok(source) => sources.push(source),
                    Err(error) => unreadable.push(*error),
                }
            }
            sources
        };
        let policies = policy::load::texts(&config.policy.dirs);
        let inventory = inventory::read(&inventory_paths(config));
        let inputs = Self {
            config: config.clone(),
            node: config.node_name(),
            ssh_ports: config::listening_ports(),
            policies: readable(policies),
            inventory: readable(inventory),
            lists: Vec::new(),
            expired: 0,
        };
        (inputs, unreadable)
    }

    /// Adds those lists that are right. Returns what is wrong with the others.
    pub fn add_lists(&mut self, lists: Vec<Found>, now: Moment) -> Vec<Diagnostic> {
        let mut wrong = Vec::new();
        for found in lists {
            match found.list {
                Ok(list) => self.lists.push(list),
                Err(errors) => wrong.extend(errors),
            }
        }
        self.lists.sort_by(|one, other| one.file.cmp(&other.file));
        self.expired = self.expired_by(now);
        wrong
    }

    /// By which what the operator wrote is told from anything else.
    #[must_use]
    pub fn digests(&self) -> Digests {
        let Self {
            config,
            node,
            policies,
            inventory,
            // Found, not written by the operator; or taken by themselves.
            ssh_ports: _,
            lists: _,
            expired: _,
        } = self;
        let mut digest = Sha256::new();
        // Maps of text and numbers: there is nothing in them that has no JSON.
        digest.update(serde_json::to_vec(&(config, node, policies)).unwrap_or_default());
        let policy = hex(&digest.clone().finalize());
        digest.update(serde_json::to_vec(inventory).unwrap_or_default());
        Digests {
            policy,
            all: hex(&digest.finalize()),
        }
    }

    /// Lists that have lost entries which are in force still, a line each.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        let lists = self.lists.iter().filter_map(|list| {
            let lost = list.lost.as_ref()?;
            let until = lost.until(self.expired)?;
            let (count, until) = (lost.count(self.expired), rfc3339(until.into()));
            let (entries, stay) = match count {
                1 => ("1 entry".to_owned(), "stays"),
                count => (format!("{count} entries"), "stay"),
            };
            Some(format!(
                "{}: {entries} that the list has lost {stay} in force, the last until {until} \
                 (try: fw-ctl reload, if that is to be now)",
                list.file
            ))
        });
        lists.collect()
    }

    /// The same without what lists have lost: what is written in files.
    #[must_use]
    pub fn written(self: &Arc<Self>) -> Arc<Self> {
        if self.lists.iter().all(|list| list.lost.is_none()) {
            return Arc::clone(self);
        }
        let lists = self.lists.iter().map(List::written);
        let written = Self {
            lists: lists.collect(),
            ..Self::clone(self)
        };
        Arc::new(written.at(self.expired))
    }

    /// The same at another time.
    #[must_use]
    pub fn at(mut self, now: Moment) -> Self {
        self.expired = self.expired_by(now);
        self
    }

    /// [`Self::expired`] of another time.
    #[must_use]
    pub fn expired_by(&self, now: Moment) -> Moment {
        let moments = self.lists.iter().map(|list| list.prefixes.expired(now));
        moments.max().unwrap_or(0)
    }

    /// When the next entry expires.
    #[must_use]
    pub fn expires(&self) -> Option<Moment> {
        let lists = self.lists.iter();
        lists
            .filter_map(|list| list.prefixes.expires(self.expired))
            .min()
    }
}

/// SHA-256 in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Of configuration and policies.
    pub policy: String,
    /// Of these and the inventory, but for lists.
    pub all: String,
}

/// Every list that `config` names.
#[must_use]
pub fn read_lists(config: &Config, files: &ListFiles) -> Vec<Found> {
    files.read(&inventory_paths(config))
}

/// A host without an inventory needs no empty directory for it. A policy
/// directory must be there: one that has vanished must not open the node.
pub(super) fn inventory_paths(config: &Config) -> Vec<PathBuf> {
    let default = config::Policy::default().inventory;
    let paths = config.policy.inventory.iter();
    paths
        .filter(|path| path.exists() || !default.contains(path))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_changes_the_inputs_only_when_an_entry_expires() {
        let text =
            b"10.0.0.0/8 until=1970-01-01T00:01:00Z\n10.0.0.0/9 until=1970-01-01T00:02:00Z\n";
        let base = Inputs {
            config: Config::default(),
            node: "n".into(),
            ssh_ports: BTreeSet::new(),
            policies: Vec::new(),
            inventory: Vec::new(),
            lists: vec![Arc::new(List::parse("a.cidr", text).unwrap())],
            expired: 0,
        };
        assert_eq!(base.expires(), Some(60));
        let at = |now| base.clone().at(now);
        assert_eq!(at(59), base);
        assert_ne!(at(60), base);
        assert_eq!(at(60), at(119));
        assert_eq!(at(60).expires(), Some(120));
        assert_eq!(at(500).expires(), None);
        // A clock that was wrong is put right.
        assert_eq!(at(500).at(59), base);
    }
}
