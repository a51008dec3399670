//! Which programs are on the interfaces, in the places that our pins name.

use std::time::SystemTime;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{ProgramInfo, loaded_programs};

use super::{LinkRef, query, tc};
use crate::datapath::error::DatapathError;
use crate::datapath::pins::{PinnedName, Pins};

/// A program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedProgram {
    /// The interface.
    pub link: LinkRef,
    /// `xdp`, `tc-ingress` or `tc-egress`.
    pub hook: &'static str,
    /// Its id in the kernel.
    pub id: u32,
    /// The kernel's hash of its instructions.
    pub tag: u64,
    /// When it was loaded, if the kernel tells.
    pub loaded: Option<SystemTime>,
}

/// The programs in all links that are pinned, and in the filters that pins stand for; of
/// interfaces that are here. `own`: what this process knows of those that it has loaded; of
/// others the kernel tells `CAP_SYS_ADMIN` only, and without it they are left out.
///
/// # Errors
/// A pin or the kernel cannot be read.
pub fn programs(pins: &Pins, own: Vec<ProgramInfo>) -> Result<Vec<AttachedProgram>, DatapathError> {
    let mut places = Vec::new();
    for pin in pins.all_links()? {
        let Some(name) = query::name(pin.index) else {
            continue;
        };
        let link = LinkRef {
            index: pin.index,
            name,
        };
        if let Some(id) = program_at(&pin, &link)? {
            places.push((link, words(&pin.hook), id));
        }
    }
    let loaded: Vec<_> = own.into_iter().chain(loaded_programs().flatten()).collect();
    let found = places.into_iter().filter_map(|(link, hook, id)| {
        let program = loaded.iter().find(|program| program.id() == id)?;
        Some(AttachedProgram {
            link,
            hook,
            id,
            tag: program.tag(),
            loaded: program.loaded_at(),
        })
    });
    Ok(found.collect())
}

/// Id of the program in a place; `None`: it is empty.
pub fn program_at(pin: &PinnedName, link: &LinkRef) -> Result<Option<u32>, DatapathError> {
    if let Some(direction) = tc::filter_direction(&pin.hook) {
        return tc::filter_program(link, direction);
    }
    let what = || format!("interface {}: asking for its programs", link.name);
    let info = PinnedLink::from_pin(&pin.path).and_then(|pinned| FdLink::from(pinned).info());
    let info = info.map_err(|error| DatapathError::aya(what(), &error))?;
    Ok(Some(info.program_id()))
}

/// The hook of a pin, however the program is held there.
pub fn words(hook: &str) -> &'static str {
    match hook {
        "tc-ingress" | "filter-ingress" => "tc-ingress",
        "tc-egress" | "filter-egress" => "tc-egress",
        _ => "xdp",
    }
}
