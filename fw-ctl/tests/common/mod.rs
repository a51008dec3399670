//! What several test programs share: the corpora, and everything that an engine
//! judges by, made from texts.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests may, and say when they are skipped"
)]

pub mod corpus;
pub mod engines;
pub mod guest;
pub mod scenario;

use std::sync::Arc;

use fw_ctl::compile::plan::Mode;
use fw_ctl::compile::{Enforcement, Options};
use fw_ctl::diagnostic::{Diagnostic, Source};
use fw_ctl::engine::Context;
use fw_ctl::inventory;
use fw_ctl::lists::List;
use fw_ctl::policy::load;
use fw_ctl::policy::rules::CidrMatchMode;

/// Name of the node under test.
pub const NODE: &str = "node";

pub fn source(name: &str, text: impl Into<String>) -> Source {
    Source {
        name: name.to_owned(),
        text: text.into(),
    }
}

/// Without built-ins and failsafe entries.
pub fn options(enforcement: Enforcement, cidr_match_mode: CidrMatchMode) -> Options {
    Options {
        mode: Mode::Enforce,
        builtins: 0,
        enforcement,
        cidr_match_mode,
        failsafe: Vec::new(),
        vlans: None,
    }
}

/// Reads policies and inventory as the commands do.
///
/// # Errors
/// What is wrong with them, one finding a line.
pub fn context(policy: &str, inventory: &str, options: Options) -> Result<Context, String> {
    context_with(policy, inventory, &[], options)
}

/// The time at which lists are judged: 1970-01-01T00:30:00Z.
pub const NOW: u32 = 1_800;

/// The same with lists: name of the file, text.
///
/// # Errors
/// As there.
pub fn context_with(
    policy: &str,
    inventory: &str,
    lists: &[(&str, &str)],
    options: Options,
) -> Result<Context, String> {
    let policies = load::load_sources([source("policy.yaml", policy)]);
    let mut known = inventory::load_sources([source("inventory.yaml", inventory)]);
    let lists = lists.iter().map(|(file, text)| {
        let list = List::parse(file, text.as_bytes());
        list.map(Arc::new).map_err(|errors| errors[0].to_string())
    });
    known.add_lists(&lists.collect::<Result<Vec<_>, _>>()?, NOW);
    let view = known
        .inventory
        .view(NODE, &inventory::Labels::new(), "default");
    let (groups, doubled) = known.inventory.groups_with(policies.cidr_groups);
    let context = Context {
        documents: policies.documents,
        groups,
        node: view.labels,
        identities: view.identities,
        cluster: "default".to_owned(),
        options,
    };
    let mut found = policies.diagnostics;
    found.extend(known.diagnostics);
    found.extend(doubled);
    found.extend(context.flatten().diagnostics);
    let errors: Vec<String> = found
        .iter()
        .filter(|one| one.is_error())
        .map(Diagnostic::to_string)
        .collect();
    if errors.is_empty() {
        Ok(context)
    } else {
        Err(errors.join("\n"))
    }
}
