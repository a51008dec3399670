//! What the kernel's tables hold, and how a plan that does not fit is refused.

use std::collections::BTreeMap;
use std::fmt;

use fw_common::wire::{MATRIX_WORDS, RULES};

use super::plan::PlanRule;
use crate::lookup::{self, Runs};
use crate::policy::rules::RuleSet;

/// How many of the policies are named.
const NAMED: usize = 3;
/// Classes are 16 bits wide in every table.
const CLASSES: usize = 1 << 16;

/// A plan does not fit the kernel's tables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CapacityError {
    /// What there is too much of.
    pub what: String,
    /// How much is needed.
    pub needed: usize,
    /// How much there is.
    pub limit: usize,
    /// The policies with the most rules, and how many.
    pub contributors: Vec<(String, usize)>,
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the policies need {} {}, the tables hold {}; the largest contributors are",
            self.needed, self.what, self.limit
        )?;
        for (i, (policy, rules)) in self.contributors.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let plural = if *rules == 1 { "" } else { "s" };
            write!(f, "{comma} `{policy}` ({rules} rule{plural})")?;
        }
        f.write_str("; try: fewer distinct combinations of peers and ports, or one CIDR group where many rules differ only in their CIDR")
    }
}

impl CapacityError {
    fn new(what: &str, needed: usize, limit: usize, rules: &RuleSet) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for rule in rules.directions.iter().flat_map(|d| &d.rules) {
            *counts.entry(&rule.origin.policy).or_default() += 1;
        }
        let mut contributors: Vec<(String, usize)> = counts
            .into_iter()
            .map(|(policy, count)| (policy.to_owned(), count))
            .collect();
        contributors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        contributors.truncate(NAMED);
        Self {
            what: what.to_owned(),
            needed,
            limit,
            contributors,
        }
    }
}

fn check(what: &str, needed: usize, limit: usize, rules: &RuleSet) -> Result<(), CapacityError> {
    if needed > limit {
        return Err(CapacityError::new(what, needed, limit, rules));
    }
    Ok(())
}

/// Rule ids.
pub(super) fn check_rules(list: &[PlanRule], rules: &RuleSet) -> Result<(), CapacityError> {
    check("rule ids", list.len(), RULES as usize, rules)
}

/// Rows or columns, called `what`.
pub(super) fn check_classes(
    what: &str,
    needed: usize,
    rules: &RuleSet,
) -> Result<(), CapacityError> {
    check(what, needed, CLASSES, rules)
}

/// Words of one direction's matrix.
pub(super) fn check_words(
    vlans: usize,
    rows: usize,
    columns: usize,
    rules: &RuleSet,
) -> Result<(), CapacityError> {
    let vlan_classes = match vlans {
        1 => String::new(),
        vlans => format!("{vlans} VLAN classes × "),
    };
    let what =
        format!("verdict words ({vlan_classes}{rows} peer classes × {columns} service classes)");
    check(
        &what,
        vlans.saturating_mul(rows).saturating_mul(columns),
        MATRIX_WORDS as usize,
        rules,
    )
}

/// Prefixes, by the memory that their tables take. Laying them out takes a moment,
/// so it is only tried where they might not fit.
pub(super) fn check_peers(peers: &Runs, rules: &RuleSet) -> Result<(), CapacityError> {
    if peers.len() <= lookup::RUNS_THAT_FIT {
        return Ok(());
    }
    lookup::build(peers).map(drop).map_err(|error| {
        let what = format!("blocks of 256 KiB for {} ranges of addresses", peers.len());
        CapacityError::new(&what, error.needed, error.room, rules)
    })
}

/// Words that compiling would have to hold before it can merge any.
pub(super) fn check_working(
    needed: usize,
    limit: usize,
    rules: &RuleSet,
) -> Result<(), CapacityError> {
    check("verdict words before merging", needed, limit, rules)
}
