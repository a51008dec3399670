//! Opening the firewall.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::attach;
use super::error::DatapathError;
use super::live::Datapath;
use super::pins;

/// What [`Datapath::detach_all`] took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Interfaces that were filtered, sorted: by name, and with their index those
    /// that are not here.
    pub interfaces: Vec<String>,
    /// Links and filters removed.
    pub links: usize,
    /// Tables removed.
    pub maps: usize,
}

impl Datapath {
    /// Opens the firewall: [`Self::detach_all`] for the process that has it open.
    ///
    /// # Errors
    /// As there.
    pub fn close(self) -> Result<Report, DatapathError> {
        let root = self.pins.root().to_owned();
        drop(self);
        Self::detach_all(&root)
    }

    /// Opens the firewall: removes every link and table under `pin_dir`, of every
    /// schema. Nothing there is no error.
    ///
    /// # Errors
    /// Another process uses the directory, or a pin cannot be removed.
    pub fn detach_all(pin_dir: &Path) -> Result<Report, DatapathError> {
        let mut report = Report::default();
        if !pin_dir.exists() {
            return Ok(report);
        }
        let lock = pins::lock(pin_dir)?;
        pins::remove_strays(pin_dir)?;
        let mut interfaces: BTreeMap<u32, Option<String>> = BTreeMap::new();
        for pin in pins::all_links(pin_dir)? {
            let name = interfaces.entry(pin.index).or_default();
            *name = name.take().or_else(|| attach::interface_of(&pin));
            attach::remove(&pin)?;
            report.links += 1;
        }
        report.interfaces = interfaces
            .into_iter()
            .map(|(index, name)| name.unwrap_or_else(|| elsewhere(index)))
            .collect();
        report.interfaces.sort();
        for version in pins::versions(pin_dir)? {
            report.maps += pins::names(&version.join("maps"))?.len();
            pins::remove_tree(&version)?;
        }
        pins::remove_unpublished(pin_dir)?;
        drop(lock);
        // A mount point, or a directory that others use as well, stays.
        let _ = fs::remove_dir(pin_dir);
        Ok(report)
    }
}

/// An interface of which no name can be told.
fn elsewhere(index: u32) -> String {
    format!("interface {index} (gone, or in another network namespace)")
}
