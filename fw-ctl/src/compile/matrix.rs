//! The verdict of every peer class on every service class in every VLAN class, before and
//! after equal rows and columns are merged.

use std::collections::HashMap;

use fw_common::wire::VerdictWord;

use super::bits::{Bits, Interner};
use super::rules::{InVlan, Verdict};
use super::services::ServiceClasses;
use super::{CapacityError, capacity};
use crate::policy::rules::RuleSet;

/// The cells of one direction, in one VLAN class or in all of them.
pub(super) struct Matrix {
    columns: usize,
    /// Distinct rows.
    rows: Vec<Vec<VerdictWord>>,
    /// Row of each peer class; after [`merge_rows`], of each merged class.
    row_of: Vec<u32>,
}

/// Peer classes whose rows are equal in both directions and all VLANs, made one.
pub(super) struct MergedRows {
    /// Merged class by class.
    pub(super) class_of: Vec<u32>,
    /// How many there are.
    pub(super) count: usize,
}

/// One direction with equal columns made one.
pub(super) struct MergedColumns {
    /// Merged column by column.
    pub(super) column_of: Vec<u32>,
    /// How many there are.
    pub(super) columns: usize,
    /// A column of each merged one.
    first: Vec<usize>,
}

impl Matrix {
    /// Decides every cell: of the rules that match, the one of highest precedence.
    pub(super) fn fill(
        direction: &InVlan,
        service_sets: usize,
        classes: &[Bits],
        services: &ServiceClasses,
        (rules, room): (&RuleSet, usize),
    ) -> Result<Self, CapacityError> {
        let mut wants = Interner::new();
        let mut best: Vec<Option<Verdict>> = vec![None; service_sets];
        let row_of: Vec<u32> = classes
            .iter()
            .map(|class| wants.number(&want(direction, class, &mut best)))
            .collect();
        let wants: Vec<Vec<(u32, Verdict)>> = wants.into_values();
        let columns = services.classes.len();
        capacity::check_working(wants.len().saturating_mul(columns), room, rules)?;
        let sets: Vec<Vec<usize>> = services
            .classes
            .iter()
            .map(|c| c.iter().collect())
            .collect();
        let mut rows = Interner::new();
        let row_of_want: Vec<u32> = wants
            .into_iter()
            .map(|want| {
                best.fill(None);
                for (set, verdict) in want {
                    best[set as usize] = Some(verdict);
                }
                let cell = |sets: &Vec<usize>| {
                    let decides = sets.iter().filter_map(|set| best[*set]).min();
                    decides.map_or(direction.base, Verdict::word)
                };
                rows.number(&sets.iter().map(cell).collect::<Vec<_>>())
            })
            .collect();
        Ok(Self {
            columns,
            rows: rows.into_values(),
            row_of: row_of
                .into_iter()
                .map(|want| row_of_want[want as usize])
                .collect(),
        })
    }

    /// The rows of several VLAN classes, one behind the other.
    pub(super) fn stacked(classes: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut classes = classes.into_iter();
        let mut whole = classes.next()?;
        for class in classes {
            let first = u32::try_from(whole.rows.len()).expect("rows are numbered by 32 bits");
            whole.rows.extend(class.rows);
            let rows = class.row_of.into_iter().map(|row| first + row);
            whole.row_of.extend(rows);
        }
        Some(whole)
    }

    /// Makes equal columns one.
    pub(super) fn merge_columns(&self) -> MergedColumns {
        let mut used: Vec<u32> = self.row_of.clone();
        used.sort_unstable();
        used.dedup();
        let mut columns = Interner::new();
        let column_of: Vec<u32> = (0..self.columns)
            .map(|column| {
                let cells = used.iter().map(|row| self.rows[*row as usize][column]);
                columns.number(&cells.collect::<Vec<_>>())
            })
            .collect();
        let count = columns.into_values().len();
        let mut first = vec![0; count];
        for (column, merged) in column_of.iter().enumerate().rev() {
            first[*merged as usize] = column;
        }
        MergedColumns {
            column_of,
            columns: count,
            first,
        }
    }

    /// All cells, row by row. Only of what fits: there may be many more of them than of
    /// distinct rows and columns.
    pub(super) fn cells(&self, merged: &MergedColumns) -> Vec<VerdictWord> {
        self.row_of
            .iter()
            .flat_map(|row| {
                let row = &self.rows[*row as usize];
                merged.first.iter().map(|column| row[*column])
            })
            .collect()
    }
}

/// What the rules that hold a peer class want, by service set, ascending.
fn want(direction: &InVlan, class: &Bits, best: &mut [Option<Verdict>]) -> Vec<(u32, Verdict)> {
    let mut touched = Vec::new();
    for peers in class.iter() {
        for (set, verdict) in &direction.by_peers[peers] {
            let slot = &mut best[*set as usize];
            if slot.is_none() {
                touched.push(*set);
            }
            if slot.is_none_or(|better| *verdict < better) {
                *slot = Some(*verdict);
            }
        }
    }
    touched.sort_unstable();
    touched
        .into_iter()
        .filter_map(|set| best[set as usize].take().map(|verdict| (set, verdict)))
        .collect()
}

/// Makes those peer classes one whose rows are equal in every direction and VLAN class.
pub(super) fn merge_rows(matrices: &mut [Matrix]) -> MergedRows {
    let classes = matrices.first().map_or(0, |matrix| matrix.row_of.len());
    let mut numbers: HashMap<Vec<u32>, u32> = HashMap::new();
    let mut representatives = Vec::new();
    let class_of: Vec<u32> = (0..classes)
        .map(|class| {
            let rows = matrices.iter().map(|matrix| matrix.row_of[class]).collect();
            *numbers.entry(rows).or_insert_with(|| {
                representatives.push(class);
                u32::try_from(representatives.len() - 1).expect("no more than classes, a u32")
            })
        })
        .collect();
    let class_of = in_order_of_content(matrices, &mut representatives, class_of);
    for matrix in matrices {
        matrix.row_of = representatives
            .iter()
            .map(|class| matrix.row_of[*class])
            .collect();
    }
    MergedRows {
        class_of,
        count: representatives.len(),
    }
}

/// Numbers merged classes by what is in their rows, not by the addresses that are in
/// them: then another address of a class that is there already leaves every number as
/// it was. Returns the numbers, class by class.
fn in_order_of_content(
    matrices: &[Matrix],
    representatives: &mut Vec<usize>,
    class_of: Vec<u32>,
) -> Vec<u32> {
    let rows = |class: usize| {
        matrices
            .iter()
            .map(move |matrix| &matrix.rows[matrix.row_of[class] as usize])
    };
    let mut order: Vec<usize> = (0..representatives.len()).collect();
    order.sort_by(|a, b| rows(representatives[*a]).cmp(rows(representatives[*b])));
    let mut number_of = vec![0; order.len()];
    for (number, old) in (0..).zip(&order) {
        number_of[*old] = number;
    }
    *representatives = order.iter().map(|old| representatives[*old]).collect();
    class_of
        .into_iter()
        .map(|old| number_of[old as usize])
        .collect()
}
