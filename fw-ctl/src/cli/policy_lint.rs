//! `fw-ctl policy lint`: what is accepted, but probably not what was meant.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::args::{OutputArgs, load};
use super::offline::{ClusterArgs, read};
use super::output::{Format, Outcome, print, print_json};
use crate::compile::Failsafe;
use crate::config::{Overrides, listening_ports};
use crate::control::protocol::Failure;
use crate::daemon::sources::options;
use crate::diagnostic::Diagnostic;
use crate::exit;
use crate::policy::lint::{Input, lint};

/// Arguments of `policy lint`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Policies: files and directories
    #[arg(value_name = "PATH", required = true)]
    policies: Vec<PathBuf>,
    /// Inventory: files and directories; without one every address is outside the
    /// cluster, and each policy is looked at alone
    #[arg(long, value_name = "PATH", num_args = 1..)]
    inventory: Vec<PathBuf>,
    /// Look from this node only, not from every node of the inventory
    #[arg(long, value_name = "NAME", requires = "inventory")]
    node: Option<String>,
    /// Also warn of rules that the failsafe entries of this configuration overrule; `ssh`
    /// is what sshd listens on here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Lints; exit 1 if there is anything to say.
///
/// # Errors
/// When files are wrong.
pub fn run(args: &Args) -> Outcome {
    let files = read(&args.policies, &args.inventory)?;
    let failsafe = failsafe(args.config.as_ref())?;
    if let Some(node) = &args.node {
        files.warn_without_node(node);
    }
    let mut findings = files.warnings.clone();
    findings.extend(lint(&Input {
        documents: &files.documents,
        groups: &files.groups,
        inventory: (!args.inventory.is_empty()).then_some(&files.inventory),
        node: args.node.as_deref(),
        cluster: &args.cluster.cluster_name,
        cidr_match_mode: args.cluster.cidr_match_mode(),
        failsafe: &failsafe,
    }));
    match args.output.format {
        Format::Json => {
            let findings: Vec<Value> = findings.iter().map(to_json).collect();
            print_json(&json!({"schema": 1, "findings": findings}))?;
        }
        Format::Table => {
            for finding in &findings {
                print(&format!("{}\n", finding.render(true)))?;
            }
        }
    }
    Ok(if findings.is_empty() {
        exit::OK
    } else {
        exit::NEGATIVE
    })
}

/// The entries of a configuration; none where none is named.
fn failsafe(config: Option<&PathBuf>) -> Result<Vec<Failsafe>, Failure> {
    let Some(config) = config else {
        return Ok(Vec::new());
    };
    let overrides = Overrides {
        config: Some(config.clone()),
        ..Overrides::default()
    };
    let loaded = load(&overrides)
        .map_err(|errors| Failure::refused("the configuration is refused", &errors))?;
    Ok(options(&loaded.config, &listening_ports()).failsafe)
}

fn to_json(finding: &Diagnostic) -> Value {
    let mut value = finding.to_json();
    value["file"] = json!(finding.source.name);
    value["help"] = json!(finding.help);
    value
}
