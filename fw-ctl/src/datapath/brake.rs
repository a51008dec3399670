//! The mode of what is pinned, without programs: the brake of an operator on a node
//! whose daemon is dead.

use std::path::Path;

use fw_common::wire::SCHEMA_VERSION;

use super::error::DatapathError;
use super::live::wait_for_packets;
use super::pins;
use super::tables::Tables;
use crate::compile::plan::Mode;

/// Changes the mode of the plan that is pinned in `pin_dir`. When this returns, every
/// packet meets the new mode. Returns whether there was a plan of this version.
///
/// # Errors
/// Another process uses the directory, or the kernel refuses.
pub fn brake(pin_dir: &Path, mode: Mode) -> Result<bool, DatapathError> {
    let maps = pin_dir.join(format!("v{SCHEMA_VERSION}")).join("maps");
    if !maps.exists() {
        return Ok(false);
    }
    let _lock = pins::lock(pin_dir)?;
    let mut tables = Tables::open(&maps)?;
    let index = tables.active()?;
    if tables.generation(index)?.number == 0 {
        return Ok(false);
    }
    tables.set_mode(index, mode)?;
    wait_for_packets();
    Ok(true)
}
