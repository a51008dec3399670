//! The smallest policy that would allow chosen rows of an audit report.
//!
//! It only adds: it switches no default deny on, names no peer and no service that was not
//! chosen, and is proved before anybody sees it. Peers of the cluster are named by labels or
//! entities, which is the only way that Cilium knows (CIDR rules mean nobody inside), and
//! only by such as mean nobody else; their other addresses are said in a comment. Only who
//! asks for entities gets more than was chosen, and is told.
//!
//! - `choice`: which rows a policy can allow, and why not the others.
//! - `peers`: how peers are named, `labels` and `atoms`: by which labels.
//! - `draft`: the policies, as values.
//! - `yaml`: the same as text.
//! - `proof`: that they allow what was chosen, and nothing else.
//! - `file`: where it is written.

mod atoms;
mod choice;
mod draft;
mod file;
mod labels;
mod peers;
mod proof;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fw_common::wire::Direction;

pub use choice::{Chosen, choose};
pub use file::NewFile;
pub(crate) use yaml::scalar;

use crate::daemon::Compiled;
use crate::inventory::Inventory;
use crate::policy::rules::Service;

/// How peers are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// Those of the cluster by labels, or by an entity if all of it was chosen; others by address
    #[default]
    Auto,
    /// All by address
    Cidr,
    /// Those of the cluster by entity, where they have one, also if it means more than was chosen
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

/// What can be suggested.
#[derive(Debug)]
pub struct Suggestion {
    /// The policies, in YAML with comments; `None`: no row can be allowed.
    pub text: Option<String>,
    /// What was chosen and they do not allow, with the reason: a line each.
    pub left: Vec<String>,
}

/// The policies that allow what was chosen.
///
/// `head`: a line of comment at the beginning. `name`: of the first policy; without one,
/// one that is free.
///
/// # Errors
/// The name cannot be had, or the policy could not be proved right.
pub fn suggest(
    base: &Base<'_>,
    chosen: &Chosen,
    by: By,
    name: Option<&str>,
    head: &str,
) -> Result<Suggestion, String> {
    let draft::Drafted {
        drafts,
        needs,
        left: nameless,
    } = draft::drafts(base, &chosen.needs, by, name)?;
    let mut left = chosen.left.clone();
    left.extend(reasons(chosen, &needs, nameless));
    if needs.is_empty() {
        return Ok(Suggestion { text: None, left });
    }
    // Who else is allowed is known only when it is compiled; then the text is another one,
    // and is what has to be proved.
    let frame = yaml::Frame {
        rows: &chosen.rows,
        head,
        left: &left,
    };
    let plain = yaml::yaml(&drafts, &frame, &proof::Notes::default());
    let extras = proof::prove(base, &plain, &drafts, &needs)?;
    let notes = proof::notes(base, &drafts, &extras);
    if !notes.others.is_empty() && by != By::Entity {
        return Err("it allows others than were chosen".to_owned());
    }
    let text = yaml::yaml(&drafts, &frame, &notes);
    if text != plain && proof::prove(base, &text, &drafts, &needs)? != extras {
        return Err("the suggestion with its comments is not what it is without".to_owned());
    }
    Ok(Suggestion {
        text: Some(text),
        left,
    })
}

/// Lines for rows that have no name in a policy.
fn reasons(chosen: &Chosen, needs: &BTreeSet<Need>, nameless: Vec<(Need, String)>) -> Vec<String> {
    let mut by_row: BTreeMap<usize, choice::Reasons> = BTreeMap::new();
    for (need, why) in nameless {
        let reasons = by_row.entry(need.row).or_default();
        reasons.entry(why).or_default().insert(need.address);
    }
    let lines = by_row.into_iter().flat_map(|(row, reasons)| {
        let whole = reasons.len() == 1 && !needs.iter().any(|need| need.row == row);
        let few = reasons.values().all(|addresses| addresses.len() > 1);
        choice::lines(&chosen.called[row], whole && few, &reasons)
    });
    lines.collect()
}

/// Rows of an item, in their order.
fn rows<'a>(needs: impl Iterator<Item = &'a Need>) -> BTreeSet<usize> {
    needs.map(|need| need.row).collect()
}
