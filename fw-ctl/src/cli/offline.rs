//! Reading policies and inventory for the commands that need no daemon.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::args::{ClientArgs, PathArgs, load};
use super::output::{plain, say, warn};
use crate::control::protocol::Failure;
use crate::daemon::{Compiled, Inputs, sources};
use crate::diagnostic::Diagnostic;
use crate::inventory::{self, Inventory};
use crate::lists::ListFiles;
use crate::policy::load as policy_files;
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

/// Files in place of what is in force, for commands that ask the daemon otherwise.
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// By these policies, not by those of the daemon
    #[arg(long, value_name = "PATH", num_args = 1..)]
    policies: Vec<PathBuf>,
    /// With this inventory
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "policies")]
    inventory: Vec<PathBuf>,
    /// As this node of the inventory
    #[arg(long, value_name = "NAME", requires = "policies")]
    node: Option<String>,
}

impl FileArgs {
    /// Whether files are to be read, and no daemon asked.
    pub(super) fn are_named(&self) -> bool {
        !self.policies.is_empty()
    }

    /// Compiles them, with the rest of the configuration; tells warnings.
    ///
    /// # Errors
    /// When configuration or files are wrong.
    pub(super) fn compile(&self, client: &ClientArgs) -> Result<Compiled, Failure> {
        let paths = PathArgs {
            config: client.config.clone(),
            policies: self.policies.clone(),
            inventory: self.inventory.clone(),
            state_dir: None,
            run_dir: client.run_dir.clone(),
            pin_dir: None,
            node: self.node.clone(),
        };
        let loaded = load(&paths.overrides())
            .map_err(|errors| Failure::refused("the configuration is refused", &errors))?;
        let (inputs, unreadable) = Inputs::read(&loaded.config, &ListFiles::default());
        let compiled = sources::compile(Arc::new(inputs), unreadable)
            .map_err(|wrong| wrong.failure("policies and inventory are refused"))?;
        for warning in &compiled.warnings {
            warn(&plain(warning));
        }
        Ok(compiled)
    }
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

/// Nodes that are named; more are left out.
const NAMED: usize = 10;

/// What files say.
pub(super) struct Files {
    /// Policies in document order.
    pub(super) documents: Vec<PolicyDocument>,
    /// CIDR groups of policies and inventory.
    pub(super) groups: Vec<Arc<CidrGroup>>,
    pub(super) inventory: Inventory,
    /// Warnings about the files.
    pub(super) warnings: Vec<Diagnostic>,
}

impl Files {
    /// Says so when no Node of the inventory has the name: that is no error, since
    /// `AddressIdentities` say who has an address without any Node, but policies
    /// select nodes by labels.
    pub(super) fn warn_without_node(&self, name: &str) {
        let nodes = &self.inventory.nodes;
        if nodes.contains_key(name) {
            return;
        }
        let known: Vec<&str> = nodes.keys().map(String::as_str).take(NAMED).collect();
        let more = if nodes.len() > NAMED { ", …" } else { "" };
        let known = match known[..] {
            [] => "it has none".to_owned(),
            _ => format!("there are: {}{more}", known.join(", ")),
        };
        warn(&format!(
            "no Node of the inventory is called `{name}`, so that no label selects it; {known}"
        ));
    }
}

/// Reads both. Kinds that an inventory has no use for are told on stderr.
///
/// # Errors
/// Everything that is wrong with the files, together.
pub(super) fn read(policies: &[PathBuf], inventory: &[PathBuf]) -> Result<Files, Failure> {
    let policies = policy_files::load(policies);
    let known = inventory::load(inventory);
    known.notes.iter().for_each(|note| say(note));
    let (groups, doubled) = known.inventory.groups_with(policies.cidr_groups);
    let (errors, warnings): (Vec<_>, Vec<_>) = policies
        .diagnostics
        .into_iter()
        .chain(known.diagnostics)
        .chain(doubled)
        .partition(Diagnostic::is_error);
    if !errors.is_empty() {
        return Err(Failure::refused(
            "policies and inventory are refused",
            &errors,
        ));
    }
    Ok(Files {
        documents: policies.documents,
        groups,
        inventory: known.inventory,
        warnings,
    })
}
