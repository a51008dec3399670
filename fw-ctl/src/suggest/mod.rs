//! The smallest policy that would allow chosen rows of an audit report.
//!
//! It only adds: it switches no default deny on, names no peer and no service that was not
//! chosen, and is proved before anybody sees it. Where peers of the cluster are named by
//! labels or entities, which is the only way that Cilium knows (CIDR rules mean nobody
//! inside), whoever else has that name is allowed, too, and said in a comment.
//!
//! - `choice`: which rows a policy can allow, and why not the others.
//! - `peers`: how peers are named.
//! - `draft`: the policies, as values.
//! - `yaml`: the same as text.
//! - `proof`: that they allow what was chosen, and nothing else.

mod choice;
mod draft;
mod peers;
mod proof;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeSet;
use std::net::IpAddr;

use fw_common::wire::Direction;

pub use choice::{Chosen, choose};

use crate::daemon::Compiled;
use crate::inventory::Inventory;
use crate::policy::rules::Service;

/// How peers are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// Those of the cluster by labels or entity, others by address
    #[default]
    Auto,
    /// All by address
    Cidr,
    /// Those of the cluster by entity, where they have one
    Entity,
    /// Those of the cluster by labels
    Labels,
}

/// What the suggestion is to be added to.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// Policies and everything around them.
    pub compiled: &'a Compiled,
    /// Who is who.
    pub inventory: &'a Inventory,
}

/// What is to be allowed for one address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Which way, as an index: 0 ingress, 1 egress.
    way: usize,
    /// In which VLAN; `None` where the policies make no difference between them.
    vlan: Option<u16>,
    /// What it asks for.
    service: Service,
    /// The peer.
    address: IpAddr,
    /// The row that it is from, as an index.
    row: usize,
}

impl Need {
    fn direction(&self) -> Direction {
        direction(self.way)
    }
}

/// Of an index.
fn direction(way: usize) -> Direction {
    [Direction::Ingress, Direction::Egress][way]
}

/// `ingress`, `egress`.
fn way_name(way: usize) -> &'static str {
    ["ingress", "egress"][way]
}

/// The policies that allow what was chosen, in YAML with comments.
///
/// `head`: lines of comment at the beginning. `name`: of the first policy; without one,
/// one that is free.
///
/// # Errors
/// Why there is none, or why it could not be proved right.
pub fn suggest(
    base: &Base<'_>,
    chosen: &Chosen,
    by: By,
    name: Option<&str>,
    head: &[String],
) -> Result<String, String> {
    let drafts = draft::drafts(base, &chosen.needs, by, name)?;
    // Who else is allowed is known only when it is compiled; then the text is another one,
    // and is what has to be proved.
    let plain = yaml::yaml(&drafts, chosen, head, &[]);
    let extras = proof::prove(base, &plain, &drafts, &chosen.needs)?;
    if extras.is_empty() {
        return Ok(plain);
    }
    let notes = proof::notes(base, &drafts, &extras);
    let text = yaml::yaml(&drafts, chosen, head, &notes);
    if proof::prove(base, &text, &drafts, &chosen.needs)? != extras {
        return Err("the suggestion with its comments is not what it is without".to_owned());
    }
    Ok(text)
}

/// Rows of an item, in their order.
fn rows<'a>(needs: impl Iterator<Item = &'a Need>) -> BTreeSet<usize> {
    needs.map(|need| need.row).collect()
}
