//! The kernels that tests go through.

use std::iter;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use super::{Kernel, NEWEST, or_skip};

/// Which ones: names as of [`Kernel::named`], or "all".
const SELECTION: &str = "FW_GUESTS";
/// The oldest that is supported, the first without tcx that is still common, the newest.
const USUAL: &str = "5.10 6.1 newest";
/// Of these, those between which the others lie: for tests that take minutes.
const OUTERMOST: &str = "5.10 newest";
const ALL: [&str; 4] = ["5.10", "6.1", "6.12", NEWEST];

/// Runs a test with each of the kernels that `FW_GUESTS` names, as many at once as this
/// machine has CPUs: emulation takes one. Where a kernel cannot be had, this is said in a
/// line `skipped: …`. One that fails does not keep the others from being tried.
///
/// # Panics
/// If the test did with one of them; the message names it. If `FW_GUESTS` names none.
pub fn on_each_kernel(test: impl Fn(&Kernel) + Sync) {
    on_kernels(USUAL, test);
}

/// As [`on_each_kernel`], but with the oldest and the newest only, if `FW_GUESTS` says nothing.
///
/// # Panics
/// As [`on_each_kernel`] does.
pub fn on_the_outermost_kernels(test: impl Fn(&Kernel) + Sync) {
    on_kernels(OUTERMOST, test);
}

fn on_kernels(usual: &str, test: impl Fn(&Kernel) + Sync) {
    let selection = std::env::var(SELECTION).unwrap_or_else(|_| usual.to_owned());
    let names = names(&selection);
    assert!(!names.is_empty(), "{SELECTION} names no kernel");
    let fails = |name: &&str| {
        let attempt = || {
            if let Some(kernel) = or_skip(Kernel::named(name)) {
                test(&kernel);
            }
        };
        catch_unwind(AssertUnwindSafe(attempt)).is_err()
    };
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let queue = Mutex::new(names.into_iter());
    let next = || queue.lock().expect("nothing in its hold panics").next();
    let worker = || iter::from_fn(next).filter(fails).collect::<Vec<_>>();
    let failed: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cpus).map(|_| scope.spawn(worker)).collect();
        let failed = workers.into_iter().map(thread::ScopedJoinHandle::join);
        failed
            .flat_map(|names| names.expect("panics are caught"))
            .collect()
    });
    assert!(failed.is_empty(), "failed with Linux {}", failed.join(", "));
}

fn names(selection: &str) -> Vec<&str> {
    match selection.trim() {
        "all" => ALL.to_vec(),
        names => names.split_whitespace().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_names_or_all() {
        assert_eq!(names(" 6.1\n newest "), ["6.1", "newest"]);
        assert_eq!(names("all"), ALL);
        assert!(names(" ").is_empty());
    }

    #[test]
    fn the_usual_ones_are_some_of_all() {
        assert!(names(USUAL).iter().all(|name| ALL.contains(name)));
        assert!(
            names(OUTERMOST)
                .iter()
                .all(|name| names(USUAL).contains(name))
        );
    }
}
