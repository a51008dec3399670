//! A thread that nothing else disturbs, as far as the system allows.
//!
//! One CPU does the measuring, under `SCHED_FIFO`. Its sibling threads are kept
//! from doing anything else by threads that only wait in a loop of `PAUSE`: two
//! hyperthreads share one core's units, and whatever runs on the other makes up to
//! half of a measurement's speed. Virtual machines do not tell who is whose sibling;
//! in one with two CPUs the other one is taken for it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// The CPU that measures.
const CPU: usize = 0;
/// A guard gives up after this: the kernel's own threads must run, too.
const LONGEST: Duration = Duration::from_millis(900);

/// Runs `work` in the calling thread, on one CPU; the thread stays there.
pub fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    pin(CPU);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for cpu in siblings() {
            scope.spawn({
                let done = &done;
                move || guard(cpu, done)
            });
        }
        prefer();
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// Whether the system lets us run before everything else; for the report.
#[must_use]
pub fn allowed() -> bool {
    thread::spawn(prefer).join().unwrap_or(false)
}

/// CPUs that share the measuring CPU's core.
#[must_use]
pub fn siblings() -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{CPU}/topology/thread_siblings_list");
    let listed = parse_list(&fs::read_to_string(path).unwrap_or_default());
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let all = if listed.len() < 2 && cpus == 2 && crate::machine::is_virtual() {
        vec![0, 1]
    } else {
        listed
    };
    all.into_iter().filter(|cpu| *cpu != CPU).collect()
}

/// `0-1,4` as sysfs writes sets of CPUs.
fn parse_list(text: &str) -> Vec<usize> {
    text.trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

fn guard(cpu: usize, done: &AtomicBool) {
    pin(cpu);
    if !prefer() {
        // As an ordinary thread it would take time away without keeping anybody off.
        return;
    }
    let start = Instant::now();
    while !done.load(Ordering::Relaxed) && start.elapsed() < LONGEST {
        for _ in 0..100 {
            std::hint::spin_loop();
        }
    }
}

/// Puts the calling thread on one CPU; without the right to, it stays anywhere.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    if set.set(cpu).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Lets the calling thread run before all ordinary ones, if that is allowed.
fn prefer() -> bool {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the pointer is to a value that lives over the call; 0 is the caller.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_cpus_are_read_as_sysfs_writes_them() {
        assert_eq!(parse_list("0-2,8\n"), [0, 1, 2, 8]);
        assert_eq!(parse_list("0"), [0]);
        assert_eq!(parse_list(""), [0; 0]);
    }
}
