//! What is pinned, without programs: on a node whose daemon is dead the operator can tell
//! what is in force, and brake.

use std::path::Path;

use fw_common::wire::SCHEMA_VERSION;

use super::attach;
use super::error::DatapathError;
use super::former;
use super::live::Installed;
use super::pins;
use super::switch;
use super::tables::Tables;
use crate::compile::plan::Mode;

/// The plan of this version that is pinned in `pin_dir`; `None`: there is none. Changes
/// nothing.
///
/// # Errors
/// The kernel cannot be asked.
pub fn in_force(pin_dir: &Path) -> Result<Option<Installed>, DatapathError> {
    let maps = pin_dir.join(format!("v{SCHEMA_VERSION}")).join("maps");
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
            refuse_incomplete(
                &pin_dir
                    .join(format!("v{}", former::INCOMPLETE))
                    .join("maps"),
            )?;
            Ok(changed)
        }
        Some(schema) => Err(DatapathError::OtherSchema { schema }),
        None => Ok(changed),
    }
}

fn brake_ours(pin_dir: &Path, mode: Mode) -> Result<bool, DatapathError> {
    let maps = pin_dir.join(format!("v{SCHEMA_VERSION}")).join("maps");
    if !maps.exists() {
        return Ok(false);
    }
    refuse_incomplete(&maps)?;
    let mut tables = Tables::open(&maps)?;
    let index = tables.active()?;
    if tables.generation(index)?.number == 0 {
        return Ok(false);
    }
    switch::set_mode(&mut tables, mode)?;
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
