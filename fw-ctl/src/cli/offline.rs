//! Reading policies and inventory for the commands that need no daemon.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::output::say;
use crate::control::protocol::Failure;
use crate::diagnostic::Diagnostic;
use crate::inventory::{self, Inventory};
use crate::policy::load;
use crate::policy::rules::CidrMatchMode;
use crate::policy::schema::{CidrGroup, PolicyDocument};

/// Flags about the cluster around the node.
#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// Name of the cluster, as in `policy.cluster_name`
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(super) cluster_name: String,
    /// Identities that CIDR rules match beside those outside the cluster
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) cidr_match_mode: Option<CidrMatch>,
}

/// `--cidr-match-mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CidrMatch {
    /// Remote nodes
    Nodes,
}

impl ClusterArgs {
    pub(super) fn cidr_match_mode(&self) -> CidrMatchMode {
        match self.cidr_match_mode {
            Some(CidrMatch::Nodes) => CidrMatchMode::Nodes,
            None => CidrMatchMode::World,
        }
    }
}

/// What files say.
pub(super) struct Files {
    /// Policies in document order.
    pub(super) documents: Vec<PolicyDocument>,
    /// CIDR groups of policies and inventory.
    pub(super) groups: Vec<CidrGroup>,
    pub(super) inventory: Inventory,
    /// Warnings about the files.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Reads both. Kinds that an inventory has no use for are told on stderr.
///
/// # Errors
/// Everything that is wrong with the files, together.
pub(super) fn read(policies: &[PathBuf], inventory: &[PathBuf]) -> Result<Files, Failure> {
    let policies = load::load(policies);
    let known = inventory::load(inventory);
    known.notes.iter().for_each(|note| say(note));
    let (errors, warnings): (Vec<_>, Vec<_>) = policies
        .diagnostics
        .into_iter()
        .chain(known.diagnostics)
        .partition(Diagnostic::is_error);
    if !errors.is_empty() {
        return Err(Failure::refused(
            "policies and inventory are refused",
            &errors,
        ));
    }
    let mut groups = policies.cidr_groups;
    groups.extend(known.inventory.cidr_groups.iter().cloned());
    Ok(Files {
        documents: policies.documents,
        groups,
        inventory: known.inventory,
        warnings,
    })
}
