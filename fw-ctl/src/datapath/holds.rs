//! Descriptors of our own for the links, beside their pins: as long as this process lives,
//! no removed pin takes a filter off its interface, and the pin can be made again.

use std::collections::BTreeMap;

use aya::programs::links::{FdLink, PinnedLink};

use super::error::DatapathError;
use super::pins::{Pins, link_name};

/// Links by interface index and hook.
#[derive(Debug, Default)]
pub(super) struct Holds(BTreeMap<u32, Vec<(String, FdLink)>>);

impl Holds {
    /// Holds every link that is pinned for the interface `index`, and no other for it.
    ///
    /// # Errors
    /// The pins cannot be read.
    pub(super) fn hold(&mut self, pins: &Pins, index: u32) -> Result<(), DatapathError> {
        let pinned = pins.all_links()?.into_iter();
        let held = pinned.filter(|pin| pin.index == index).filter_map(|pin| {
            // On kernels without links for TC a pin holds a program: the filter of it does
            // not depend on the pin.
            let link = PinnedLink::from_pin(&pin.path).ok()?;
            Some((pin.hook, FdLink::from(link)))
        });
        self.0.insert(index, held.collect());
        Ok(())
    }

    /// Lets go of the links of the interface `index`: from now on they go with their pins.
    /// First, pins that somebody has removed are made again.
    ///
    /// # Errors
    /// A pin cannot be made.
    pub(super) fn leave_to_pins(&mut self, pins: &Pins, index: u32) -> Result<(), DatapathError> {
        for (hook, link) in self.0.remove(&index).unwrap_or_default() {
            let name = link_name(index, &hook);
            if pins.find_link(&name)?.is_none() {
                let path = pins.links().join(&name);
                link.pin(&path).map_err(|error| {
                    DatapathError::aya(format!("pinning {} again", path.display()), &error)
                })?;
            }
        }
        Ok(())
    }

    /// Lets go of the links of the interface `index`, whatever becomes of them.
    pub(super) fn release(&mut self, index: u32) {
        self.0.remove(&index);
    }
}
