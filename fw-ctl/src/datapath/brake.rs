//! What is pinned, without programs: on a node whose daemon is dead the operator can tell
//! what is in force, and brake.

use std::path::Path;

use aya::maps::{Array, MapData};
use fw_common::wire::{GENERATIONS, Generation, SCHEMA_VERSION};

use super::attach;
use super::error::DatapathError;
use super::former;
use super::generation::header_in_mode;
use super::live::Installed;
use super::pins;
use super::switch::{set_mode, wait_for_packets};
use super::tables::{Tables, open_array, reading, writing};
use crate::compile::plan::Mode;

/// Name of the table of what packets know of a plan, its mode among it.
const GENERATION: &str = "GENERATION";

/// The plan of this version that is pinned in `pin_dir`; `None`: there is none. Changes
/// nothing.
///
/// # Errors
/// The kernel cannot be asked.
pub fn in_force(pin_dir: &Path) -> Result<Option<Installed>, DatapathError> {
    let maps = pins::version_of(pin_dir, SCHEMA_VERSION).join("maps");
    if !maps.exists() {
        return Ok(None);
    }
    refuse_incomplete(&maps)?;
    let tables = Tables::open(&maps)?;
    let index = tables.active()?;
    let generation = tables.generation(index)?;
    Ok((generation.number != 0).then(|| Installed::new(index, &generation)))
}

/// Interfaces that what is pinned in `pin_dir` filters, sorted.
///
/// # Errors
/// The pins cannot be read.
pub fn filtered(pin_dir: &Path) -> Result<Vec<String>, DatapathError> {
    let pins = pins::all_links(pin_dir)?;
    let mut names: Vec<_> = pins.iter().filter_map(attach::interface_of).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Changes the mode of the plan that is pinned in `pin_dir`. When this returns, every
/// packet meets the new mode. Returns whether there was a plan of this version.
///
/// # Errors
/// Another process uses the directory, or the kernel refuses. Programs of another version
/// filter as well: their mode stays.
pub fn brake(pin_dir: &Path, mode: Mode) -> Result<bool, DatapathError> {
    if !pin_dir.exists() {
        return Ok(false);
    }
    let _lock = pins::lock(pin_dir)?;
    brake_beside(pin_dir, mode)
}

/// As [`brake`], whoever uses the directory: for a daemon that hangs.
///
/// # Errors
/// The kernel refuses, or other programs filter as well.
pub fn brake_beside(pin_dir: &Path, mode: Mode) -> Result<bool, DatapathError> {
    let changed = brake_ours(pin_dir, mode)?;
    match former::other_in_use(pin_dir)? {
        Some(former::INCOMPLETE) => {
            let aside = pins::version_of(pin_dir, former::INCOMPLETE);
            brake_incomplete(&aside.join("maps"), mode)
        }
        Some(schema) => Err(DatapathError::OtherSchema { schema }),
        None => Ok(changed),
    }
}

fn brake_ours(pin_dir: &Path, mode: Mode) -> Result<bool, DatapathError> {
    let version = pins::version_of(pin_dir, SCHEMA_VERSION);
    let maps = version.join("maps");
    if former::missing(&maps).is_some() {
        // Nothing that filters is left, or what is left is enough.
        return Ok(!pins::links_in(&version)?.is_empty() && brake_incomplete(&maps, mode)?);
    }
    let mut tables = Tables::open(&maps)?;
    let index = tables.active()?;
    if tables.generation(index)?.number == 0 {
        return Ok(false);
    }
    set_mode(&mut tables, mode)?;
    Ok(true)
}

/// Where tables were removed: the mode stands in one of them. The hash of the plan stays that
/// of the former mode, and says to the next daemon that somebody was here.
fn brake_incomplete(maps: &Path, mode: Mode) -> Result<bool, DatapathError> {
    if !maps.join(GENERATION).exists() {
        refuse_incomplete(maps)?;
    }
    let mut headers: Array<MapData, Generation> = open_array(maps, GENERATION, GENERATIONS)?;
    for index in 0..GENERATIONS {
        let header = headers.get(&index, 0).map_err(reading(GENERATION))?;
        let changed = header_in_mode(header, mode);
        headers
            .set(index, changed, 0)
            .map_err(writing(GENERATION))?;
    }
    wait_for_packets();
    Ok(true)
}

fn refuse_incomplete(maps: &Path) -> Result<(), DatapathError> {
    match former::missing(maps) {
        None => Ok(()),
        Some(name) => Err(DatapathError::Incomplete {
            path: maps.to_owned(),
            name,
        }),
    }
}
