//! From one plan to the next: written beside the one in force, read back, and switched to by
//! one word.

use std::time::Duration;

use fw_common::wire::{GENERATIONS, Generation};

use super::error::DatapathError;
use super::image::Image;
use super::live::Installed;
use super::tables::Tables;
use crate::compile::plan::{Mode, Plan};
use crate::lookup;

/// How long to wait for packets under way where the kernel cannot be asked to.
const GRACE: Duration = Duration::from_millis(100);

/// Writes `plan` into the generation that is not in force, reads it back,
/// compares, and lets packets see it.
///
/// # Errors
/// See [`Datapath::install`].
pub(super) fn write_and_flip(
    tables: &mut Tables,
    plan: &Plan,
    number: u64,
    event_limit: u32,
    trial: Option<Duration>,
) -> Result<Installed, DatapathError> {
    let (index, header) = write_aside(tables, plan, number, event_limit)?;
    tables.flip_for(index, trial)?;
    Ok(Installed::new(index, &header))
}

/// Writes `plan` into the generation that is not in force, reads it back, and compares.
/// Returns which generation that is, and its header.
///
/// # Errors
/// See [`Datapath::install`].
pub(super) fn write_aside(
    tables: &mut Tables,
    plan: &Plan,
    number: u64,
    event_limit: u32,
) -> Result<(u32, Generation), DatapathError> {
    if number == 0 {
        return Err(DatapathError::Plan("its number is 0".into()));
    }
    Image::check(plan)?;
    let image = Image::of(plan);
    let peers = lookup::build(&image.peers).map_err(|error| DatapathError::Capacity {
        table: "the table of peers (in blocks of 256 KiB)",
        needed: error.needed,
        room: error.room,
    })?;
    let index = (tables.active()? + 1) % GENERATIONS;
    let header = image.generation(number, event_limit, peers.blocks());
    tables.write(index, &image, &peers, header)?;
    tables.clear_rule_counters(index, plan.rules.len())?;
    tables.verify(index, &image, &peers, &header)?;
    Ok((index, header))
}

/// Changes the mode of every generation that packets may see without another word of
/// ours. When this returns, they meet the new one.
///
/// # Errors
/// The kernel refuses.
pub(super) fn set_mode(tables: &mut Tables, mode: Mode) -> Result<(), DatapathError> {
    for index in tables.possible()? {
        if tables.generation(index)?.number != 0 {
            tables.set_mode(index, mode)?;
        }
    }
    wait_for_packets();
    Ok(())
}

/// Waits until every packet that was being judged when this was called has been.
///
/// Programs run inside RCU read sections, and `membarrier` in its global form is
/// a `synchronize_rcu()` (kernel/sched/membarrier.c). It is not to be had on
/// kernels with `nohz_full` CPUs; there, time must do.
pub(super) fn wait_for_packets() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: membarrier takes integers only and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        std::thread::sleep(GRACE);
    }
}
