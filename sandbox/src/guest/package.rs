//! Programs of Debian that are tried beside ours, without being installed: no service is
//! started, and nothing of the machine changes.

use std::fs;
use std::path::PathBuf;

use super::apt::Apt;
use super::{cache, kernel};
use crate::{Error, Result};

/// Where a package of this machine's Debian is unpacked, as onto an empty disk; got once.
///
/// # Errors
/// [`Error::Missing`] if it cannot be got; another one if it cannot be unpacked.
pub fn unpacked(package: &str) -> Result<PathBuf> {
    let _lock = kernel::lock()?;
    let place = cache().join("packages").join(package);
    if place.is_dir() {
        return Ok(place);
    }
    let part = place.with_extension("part");
    // What an interrupted attempt left.
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).map_err(Error::io(format!("make {}", part.display())))?;
    Apt::of_this_machine().unpack(&[package.to_owned()], &part)?;
    fs::rename(&part, &place).map_err(Error::io(format!("make {}", place.display())))?;
    Ok(place)
}
