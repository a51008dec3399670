//! TC on an interface: TCX links from Linux 6.6, `clsact` filters before.
//!
//! A TCX link is pinned like any link. A filter stays by itself; a pin of its
//! program under `filter-<direction>` records that it is ours, and its fixed
//! place (priority, handle) lets it be replaced in one step.

use std::path::Path;

use aya::maps::MapInfo;
use aya::programs::links::{FdLink, LinkOrder, PinnedLink};
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact,
};
use aya::programs::{ProgramError, ProgramInfo, SchedClassifier, TcAttachType, loaded_programs};
use fw_common::wire::Direction;

use super::{LinkRef, query};
use crate::datapath::command::{self, TcxHook};
use crate::datapath::error::{DatapathError, io_cause};
use crate::datapath::host::TcKind;
use crate::datapath::pins::{Pins, link_name, unpin};
use crate::datapath::programs::is_ours;

/// Place of our filter: before others' filters, which default to 49152.
const PRIORITY: u16 = 1;
/// Handle of our filter, unlikely to be another's.
const HANDLE: (u16, u16) = (0xf1, 0x11);

/// Attaches `program` for `direction`, or puts it into the link that is there.
///
/// # Errors
/// The kernel refuses.
pub fn attach(
    program: &mut SchedClassifier,
    pins: &Pins,
    link: &LinkRef,
    direction: Direction,
    kind: TcKind,
) -> Result<(), DatapathError> {
    match kind {
        TcKind::Tcx => attach_link(program, pins, link, direction),
        TcKind::Clsact => attach_filter(program, pins, link, direction),
    }
}

/// Detaches the program of `direction`, if it is attached.
///
/// # Errors
/// The pin cannot be removed.
pub fn detach(pins: &Pins, link: &LinkRef, direction: Direction) -> Result<(), DatapathError> {
    if let Some(path) = pins.find_link(&link_name(link.index, link_hook(direction)))? {
        unpin(&path)?;
    }
    if let Some(path) = pins.find_link(&link_name(link.index, filter_hook(direction)))? {
        remove_filter(&link.name, direction);
        unpin(&path)?;
    }
    Ok(())
}

/// Whether the TCX link at `path` is still on the interface: an interface that
/// has gone takes its links with it, and its index may be another's now.
///
/// # Errors
/// The kernel cannot be asked.
pub fn is_live(link: &LinkRef, direction: Direction, path: &Path) -> Result<bool, DatapathError> {
    let what = || format!("interface {}: asking for its TC programs", link.name);
    let pinned = PinnedLink::from_pin(path).map_err(|e| DatapathError::aya(what(), &e))?;
    let info = FdLink::from(pinned)
        .info()
        .map_err(|e| DatapathError::aya(what(), &e))?;
    let hook = match direction {
        Direction::Ingress => TcxHook::Ingress,
        Direction::Egress => TcxHook::Egress,
    };
    let programs =
        command::programs_on(link.index, hook).map_err(|e| DatapathError::io(what(), &e))?;
    Ok(programs.contains(&info.program_id()))
}

/// Refuses an interface on which a program of fw-ctl is that none of our pins
/// holds. XDP admits one program only; TC would run both, and what passes would
/// be what both let pass.
///
/// # Errors
/// There is one. A kernel without TCX has nothing to ask.
pub fn refuse_other_instance(
    pins: &Pins,
    link: &LinkRef,
    direction: Direction,
) -> Result<(), DatapathError> {
    let Ok((_, programs)) = SchedClassifier::query_tcx(&link.name, hook(direction)) else {
        return Ok(());
    };
    let own = match pins.find_link(&link_name(link.index, link_hook(direction)))? {
        Some(path) => PinnedLink::from_pin(path)
            .and_then(|pinned| FdLink::from(pinned).info())
            .ok()
            .map(|info| info.program_id()),
        None => None,
    };
    let other = programs.iter().find(|program| {
        program.name_as_str().is_some_and(is_ours)
            && Some(program.id()) != own
            && !judges_by(program, pins)
    });
    match other {
        Some(program) => Err(DatapathError::OtherInstance {
            interface: link.name.clone(),
            id: program.id(),
            hook: match direction {
                Direction::Ingress => "TC ingress",
                Direction::Egress => "TC egress",
            },
        }),
        None => Ok(()),
    }
}

/// Whether `program` reads the tables that are pinned here: then it is ours, although
/// no pin holds it (any more). It judges as we do, and goes with its link.
fn judges_by(program: &ProgramInfo, pins: &Pins) -> bool {
    let table = MapInfo::from_pin(pins.maps().join("ACTIVE"));
    let used = program.map_ids().ok().flatten();
    matches!((table, used), (Ok(table), Some(used)) if used.contains(&table.id()))
}

fn attach_link(
    program: &mut SchedClassifier,
    pins: &Pins,
    link: &LinkRef,
    direction: Direction,
) -> Result<(), DatapathError> {
    let failed = attaching(link, direction);
    let name = link_name(link.index, link_hook(direction));
    if let Some(path) = pins.find_link(&name)? {
        if is_live(link, direction, &path)? {
            let pinned = PinnedLink::from_pin(&path).map_err(|e| failed(&e))?;
            let old =
                SchedClassifierLink::try_from(FdLink::from(pinned)).map_err(|e| failed(&e))?;
            let id = program.attach_to_link(old).map_err(|e| failed(&e))?;
            // The pin keeps the link; our descriptor of it is not needed.
            drop(program.take_link(id).map_err(|e| failed(&e))?);
            return pins.take_over(&path, &name);
        }
        unpin(&path)?;
    }
    // First, because a program before ours that accepts a packet ends the chain.
    let id = program
        .attach_with_options(
            &link.name,
            hook(direction),
            TcAttachOptions::TcxOrder(LinkOrder::first()),
        )
        .map_err(|e| failed(&e))?;
    let taken = program.take_link(id).map_err(|e| failed(&e))?;
    let taken = FdLink::try_from(taken).map_err(|e| failed(&e))?;
    taken.pin(pins.links().join(name)).map_err(|e| failed(&e))?;
    Ok(())
}

fn attach_filter(
    program: &mut SchedClassifier,
    pins: &Pins,
    link: &LinkRef,
    direction: Direction,
) -> Result<(), DatapathError> {
    let failed = attaching(link, direction);
    match qdisc_add_clsact(&link.name) {
        Err(error) if !already_there(&error) => return Err(failed(&error)),
        _ => {}
    }
    let name = link_name(link.index, filter_hook(direction));
    let marker = pins.find_link(&name)?;
    let replaced = if marker.is_some() || is_left_over(pins, link, direction)? {
        replace_filter(program, link, direction)
    } else {
        None
    };
    let id = match replaced {
        Some(id) => id,
        None => program
            .attach_with_options(
                &link.name,
                hook(direction),
                TcAttachOptions::Netlink(NlOptions {
                    priority: PRIORITY,
                    handle: TcHandle::new(HANDLE.0, HANDLE.1),
                    classid: None,
                }),
            )
            .map_err(|error: ProgramError| failed(&error))?,
    };
    let taken = program.take_link(id).map_err(|e| failed(&e))?;
    // Dropping it would remove the filter.
    std::mem::forget(taken);
    if let Some(old) = marker {
        unpin(&old)?;
    }
    program
        .pin(pins.links().join(name))
        .map_err(|e| failed(&e))?;
    Ok(())
}

/// Puts the program in the place of our filter; `None` if there is none.
fn replace_filter(
    program: &mut SchedClassifier,
    link: &LinkRef,
    direction: Direction,
) -> Option<aya::programs::tc::SchedClassifierLinkId> {
    let old = our_filter(&link.name, direction)?;
    program.attach_to_link(old).ok()
}

/// Whether our filter is on the interface.
///
/// # Errors
/// The kernel cannot be asked.
pub fn has_filter(link: &LinkRef, direction: Direction) -> Result<bool, DatapathError> {
    Ok(filter_program(link, direction)?.is_some())
}

/// Id of the program of our filter, if it is there.
///
/// # Errors
/// The kernel cannot be asked.
pub fn filter_program(link: &LinkRef, direction: Direction) -> Result<Option<u32>, DatapathError> {
    query::filter(link, direction, PRIORITY, HANDLE)
}

/// Whether a filter without a pin is ours all the same: somebody has removed the pin.
fn is_left_over(pins: &Pins, link: &LinkRef, direction: Direction) -> Result<bool, DatapathError> {
    let Some(id) = query::filter(link, direction, PRIORITY, HANDLE)? else {
        return Ok(false);
    };
    let mut loaded = loaded_programs().flatten();
    let program = loaded.find(|program| program.id() == id);
    Ok(program.is_some_and(|program| judges_by(&program, pins)))
}

/// Removes our filter. That it has gone already is as good.
pub fn remove_filter(interface: &str, direction: Direction) {
    // Dropping the description of a filter removes it.
    drop(our_filter(interface, direction));
}

fn our_filter(interface: &str, direction: Direction) -> Option<SchedClassifierLink> {
    SchedClassifierLink::attached(
        interface,
        hook(direction),
        PRIORITY,
        TcHandle::new(HANDLE.0, HANDLE.1),
        None,
    )
    .ok()
}

fn already_there(error: &aya::programs::TcError) -> bool {
    use aya::programs::TcError;
    let number = match error {
        TcError::NetlinkError(error) => error.raw_os_error(),
        other => io_cause(other).and_then(std::io::Error::raw_os_error),
    };
    number == Some(libc::EEXIST)
}

fn hook(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    }
}

/// In the name of the pin of a link.
pub fn link_hook(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "tc-ingress",
        Direction::Egress => "tc-egress",
    }
}

/// In the name of the pin that stands for a filter.
pub fn filter_hook(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "filter-ingress",
        Direction::Egress => "filter-egress",
    }
}

/// The direction of a pin that stands for a filter.
pub fn filter_direction(name: &str) -> Option<Direction> {
    [Direction::Ingress, Direction::Egress]
        .into_iter()
        .find(|direction| filter_hook(*direction) == name)
}

fn attaching(
    link: &LinkRef,
    direction: Direction,
) -> impl Fn(&(dyn std::error::Error + 'static)) -> DatapathError {
    let what = format!(
        "interface {}: attaching to its TC {}",
        link.name,
        direction.name()
    );
    move |error| DatapathError::aya(what.clone(), error)
}
