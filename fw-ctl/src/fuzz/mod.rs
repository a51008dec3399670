//! What must hold of anything that others hand over, whatever its bytes: a function for
//! each kind. It panics where it does not hold.
//!
//! `fuzz/` calls them by libFuzzer, `fw-ctl/tests/fuzz.rs` with a bounded number of
//! mutations of the same corpora, each beside a limit of time and memory.

mod files;
mod packets;
mod socket;

/// A kind: its name, that of its corpus too, and what must hold of it.
pub type Target = (&'static str, fn(&[u8]));

/// Every kind.
pub const TARGETS: [Target; 9] = [
    ("policies", files::policies),
    ("inventories", files::inventories),
    ("lists", files::lists),
    ("configuration", files::configuration),
    ("state", files::state),
    ("flows", packets::flows),
    ("frames", packets::frames),
    ("requests", socket::requests),
    ("replies", socket::replies),
];

/// Runs what must hold of the kind `name`.
///
/// # Panics
/// It does not hold, or there is no such kind.
pub fn target(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.0 == name);
    let (_, run) = target.unwrap_or_else(|| panic!("there is no kind {name}"));
    run(bytes);
}
