//! From flat rules and the inventory to a plan.
//!
//! Addresses that every rule treats alike form a peer class, services that every
//! rule treats alike form a service class, and a matrix holds the verdict of each
//! pair (recursive flow classification, Gupta & McKeown 1999). Deny over allow,
//! default deny and failsafe are resolved here, so that a packet costs one
//! longest-prefix match and two array loads, whatever the number of rules.
//!
//! VLANs in which other rules hold have rows of their own in the matrix; classes of peers
//! and services are shared by all.
//!
//! Order: [`vlans`], [`peers`] and [`services`] number the classes, [`matrix`] fills the
//! cells and merges equal rows and columns, [`capacity`] refuses what would not
//! fit the kernel's tables.

mod bits;
mod capacity;
mod failsafe;
mod hash;
mod index;
mod lookup;
mod matrix;
mod memo;
mod peers;
pub mod plan;
mod rules;
mod services;
mod summary;
#[cfg(test)]
mod tests;
mod vlans;
#[cfg(test)]
mod vlans_tests;

use fw_common::wire::MATRIX_WORDS;

use crate::inventory::Identities;
use crate::lookup::Runs;
use crate::policy::rules::{CidrMatchMode, RuleSet};
use crate::ranges::{Number, push};
use crate::vlans::VlanSet;
pub use capacity::CapacityError;
pub use failsafe::Failsafe;
use matrix::{Matrix, MergedRows};
use plan::{DirectionPlan, Mode, Plan};
use rules::Numbered;

/// When default deny begins (Cilium's `enable-policy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Where a policy switches it on.
    #[default]
    Default,
    /// Always, in both directions, even without a policy.
    Always,
    /// Nothing is enforced, not even deny rules.
    Never,
}

/// What shapes a plan beside policies and inventory.
#[derive(Clone, Debug)]
pub struct Options {
    /// Audit or enforce.
    pub mode: Mode,
    /// Bits of the built-ins that are on.
    pub builtins: u32,
    /// When default deny begins.
    pub enforcement: Enforcement,
    /// Which identities CIDR rules may match.
    pub cidr_match_mode: CidrMatchMode,
    /// Allowances before any policy.
    pub failsafe: Vec<Failsafe>,
    /// The VLANs that are admitted; `None`: all.
    pub vlans: Option<VlanSet>,
}

/// Cells that compiling may hold at once, before equal columns are merged: far
/// more than fits the kernel, far less than would exhaust memory.
const WORKING_WORDS: usize = 128 * MATRIX_WORDS as usize;

/// Compiles the rules of one node.
///
/// The same input gives the same plan, bit for bit.
///
/// # Errors
/// When the plan would not fit the kernel's tables; the message names the largest
/// contributors.
///
/// # Panics
/// Never: what is converted to 16 bits was checked to fit before.
pub fn compile(
    rules: &RuleSet,
    identities: &Identities,
    options: &Options,
) -> Result<Plan, CapacityError> {
    let plan = draft(rules, identities, options)?;
    capacity::check_peers(&plan.peers, rules)?;
    Ok(plan)
}

/// The same for a plan that is only looked at: that its peers fit the kernel's memory,
/// which takes a while to see of a million of them, is not checked.
///
/// # Errors
/// When anything else would not fit.
pub fn draft(
    rules: &RuleSet,
    identities: &Identities,
    options: &Options,
) -> Result<Plan, CapacityError> {
    let numbered = Numbered::new(rules, options);
    capacity::check_rules(&numbered.rules, rules)?;
    let peers = peers::classify(&numbered.peer_sets, identities, options.cidr_match_mode);
    let services = [0, 1].map(|i| services::classify(&numbered.directions[i].service_sets));
    let vlans = numbered.vlans.classes.len();
    let mut matrices = Vec::with_capacity(2 * vlans);
    for (direction, services) in numbered.directions.iter().zip(&services) {
        let sets = direction.service_sets.len();
        let limits = (rules, WORKING_WORDS / vlans);
        for in_vlan in &direction.vlans {
            let matrix = Matrix::fill(in_vlan, sets, &peers.classes, services, limits)?;
            matrices.push(matrix);
        }
    }
    let rows = matrix::merge_rows(&mut matrices);
    capacity::check_classes("peer classes", rows.count, rules)?;
    let runs = Runs {
        v4: merged(&peers.v4, &rows),
        v6: merged(&peers.v6, &rows),
    };
    let mut directions = Vec::with_capacity(2);
    let mut matrices = matrices.into_iter();
    for services in &services {
        let whole = Matrix::stacked(matrices.by_ref().take(vlans))
            .expect("there is at least one VLAN class, in both directions");
        directions.push(direction_plan(
            &whole,
            services,
            (vlans, rows.count),
            rules,
        )?);
    }
    let directions = directions
        .try_into()
        .expect("the loop above runs once for each of the two directions");
    Ok(Plan {
        mode: options.mode,
        builtins: options.builtins,
        peers: runs,
        rows: u32::try_from(rows.count).expect("check_classes allows no more than 65,536"),
        vlans: numbered.vlans.class_of,
        directions,
        rules: numbered.rules,
    })
}

/// Runs of peer classes as runs of rows.
fn merged<N: Number>(runs: &[(N, u32)], rows: &MergedRows) -> Vec<(N, u16)> {
    let mut merged = Vec::with_capacity(runs.len());
    for (first, class) in runs {
        let row = rows.class_of[*class as usize];
        let row = u16::try_from(row).expect("check_classes allows no more than 65,536");
        push(&mut merged, *first, row);
    }
    merged
}

/// Merges equal columns and checks that the result fits.
fn direction_plan(
    matrix: &Matrix,
    services: &services::ServiceClasses,
    (vlans, rows): (usize, usize),
    rules: &RuleSet,
) -> Result<DirectionPlan, CapacityError> {
    let merged = matrix.merge_columns();
    capacity::check_classes("service classes", merged.columns, rules)?;
    capacity::check_words(vlans, rows, merged.columns, rules)?;
    let number = |class: &u32| -> u16 {
        u16::try_from(merged.column_of[*class as usize])
            .expect("check_classes allows no more than 65,536")
    };
    let table = |classes: &Vec<u32>| classes.iter().map(number).collect::<Vec<u16>>();
    Ok(DirectionPlan {
        columns: u32::try_from(merged.columns).expect("check_classes allows no more than 65,536"),
        ports: services.ports.each_ref().map(table),
        icmp: services.icmp.each_ref().map(table),
        protocols: table(&services.protocols),
        cells: matrix.cells(&merged),
    })
}
