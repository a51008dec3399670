//! Everything that a plan is made from, as it was read.
//!
//! A plan is a function of this value alone, so that it can be made again after
//! the files have changed or broken.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, Source};
use crate::texts::{self, Text};
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
}

impl Inputs {
    /// Reads the files that `config` names. What cannot be read is told beside.
    #[must_use]
    pub fn read(config: &Config) -> (Self, Vec<Diagnostic>) {
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
        let policies = texts::read(&config.policy.dirs, policy::load::LIMIT);
        let inventory = texts::read(&inventory_paths(config), inventory::LIMIT);
        let inputs = Self {
            config: config.clone(),
            node: config.node_name(),
            ssh_ports: config::listening_ports(),
            policies: readable(policies),
            inventory: readable(inventory),
        };
        (inputs, unreadable)
    }
}

/// A host without an inventory needs no empty directory for it. A policy
/// directory must be there: one that has vanished must not open the node.
fn inventory_paths(config: &Config) -> Vec<PathBuf> {
    let default = config::Policy::default().inventory;
    let paths = config.policy.inventory.iter();
    paths
        .filter(|path| path.exists() || !default.contains(path))
        .cloned()
        .collect()
}
