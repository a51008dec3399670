//! Whose network namespace the pinned links filter.
//!
//! The BPF file system may be shared with another network namespace, as a container
//! has that of its host. There, indexes mean other interfaces or none, and a daemon
//! would take the pins for leftovers.

use super::{LinkRef, is_on, query};
use crate::datapath::command;
use crate::datapath::error::DatapathError;
use crate::datapath::pins::{PinnedName, Pins};

/// Refuses pins of which some filter, but none of them here. If any is here, the
/// others are of interfaces that were moved away.
///
/// # Errors
/// [`DatapathError::OtherNamespace`], or a pin cannot be listed.
pub fn refuse_another(pins: &Pins) -> Result<(), DatapathError> {
    let mut elsewhere = None;
    for pin in pins.all_links()? {
        let Some(index) = interface(&pin) else {
            continue;
        };
        let here = query::name(pin.index).map(|name| LinkRef {
            index: pin.index,
            name,
        });
        if here.is_some_and(|link| is_on(&pin, &link)) {
            return Ok(());
        }
        elsewhere = elsewhere.or(Some(index));
    }
    match elsewhere {
        None => Ok(()),
        Some(index) => Err(DatapathError::OtherNamespace {
            path: pins.links(),
            index,
        }),
    }
}

/// Index of the interface that a pinned link is on, wherever; `None`: on none, or the pin
/// stands for a filter, which does not need it and stays where it is.
fn interface(pin: &PinnedName) -> Option<u32> {
    if pin.hook.starts_with("filter-") {
        return None;
    }
    let index = command::interface_of_link(&pin.path).ok()?;
    (index != 0).then_some(index)
}
