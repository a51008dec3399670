//! How full the tables of the plan in force are. A plan that needs more room is refused.

use fw_common::wire::{MATRIX_WORDS, PEER_BLOCKS, SINGLES};

use super::amend::AMENDED;
use super::error::DatapathError;
use super::live::Datapath;

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// What it is a table of.
    pub table: &'static str,
    /// Entries in use.
    pub entries: u64,
    /// Entries that there is room for.
    pub limit: u64,
}

impl Datapath {
    /// Tables beside that of connections.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn occupancy(&self) -> Result<Vec<Occupancy>, DatapathError> {
        let generation = self.tables.generation(self.tables.active()?)?;
        let words = |direction: usize| {
            let [rows, columns] = [generation.rows, generation.columns[direction]];
            [rows, columns, generation.vlan_classes]
                .map(u64::from)
                .into_iter()
                .product()
        };
        let of = |table, entries: u64, limit: u64| Occupancy {
            table,
            entries,
            limit,
        };
        let known = |count: usize| count as u64;
        Ok(vec![
            of("verdicts-ingress", words(0), MATRIX_WORDS.into()),
            of("verdicts-egress", words(1), MATRIX_WORDS.into()),
            of(
                "peer-blocks",
                generation.peer_blocks.into(),
                PEER_BLOCKS.into(),
            ),
            of(
                "amended-addresses",
                known(self.tables.singles.known().len()),
                known(AMENDED),
            ),
            of(
                "bans",
                known(self.tables.bans.known().len()),
                SINGLES.into(),
            ),
        ])
    }
}
