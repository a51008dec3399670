//! What the kernel's verifier says of programs that it accepts.
//!
//! Before Linux 5.16 only its log tells how many instructions it went through, and aya
//! asks for the log only of a program that was refused. So this test program has a
//! `syscall` of its own, which the linker prefers to the C library's: it asks for
//! statistics where no log was asked for, and changes nothing else.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_long};
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Instructions that the verifier went through, by the name of the program as the kernel
/// knows it. Of all that were loaded in this process so far.
pub fn verified() -> BTreeMap<String, u32> {
    SAID.lock().unwrap().clone()
}

static SAID: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

/// `BPF_PROG_LOAD`, and `BPF_LOG_STATS` of a log level (`include/linux/bpf_verifier.h`).
const PROG_LOAD: c_long = 5;
const STATISTICS: u32 = 4;
/// Statistics are three lines.
const LOG: u32 = 4_096;

/// The beginning of `union bpf_attr` for this command, up to the name.
#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [c_char; 16],
}

/// With the six arguments that a system call can have: in the calling conventions of
/// Linux the C library's variadic one takes them where this one does.
type Syscall =
    unsafe extern "C" fn(c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long;

/// The C library's own.
static NEXT: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());

fn next() -> Syscall {
    let mut found = NEXT.load(Ordering::Relaxed);
    if found.is_null() {
        // SAFETY: the name is a C string; it is looked up behind this program.
        found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr()) };
        assert!(!found.is_null(), "the C library has `syscall`");
        NEXT.store(found, Ordering::Relaxed);
    }
    // SAFETY: it is the function of that name.
    unsafe { std::mem::transmute::<*mut libc::c_void, Syscall>(found) }
}

/// In place of the C library's, in this whole program.
///
/// # Safety
/// That of the system call.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    one: c_long,
    two: c_long,
    three: c_long,
    four: c_long,
    five: c_long,
    six: c_long,
) -> c_long {
    // SAFETY: it is what the caller has asked for.
    let call = || unsafe { next()(number, one, two, three, four, five, six) };
    if number != libc::SYS_bpf || one != PROG_LOAD {
        return call();
    }
    let attributes = two as *mut Load;
    // SAFETY: the kernel reads and writes there for this command, and nobody else does
    // while the caller waits.
    let load = unsafe { &mut *attributes };
    if load.log_size != 0 {
        return call();
    }
    let mut log = vec![0_u8; LOG as usize];
    (load.log_level, load.log_size, load.log) = (STATISTICS, LOG, log.as_mut_ptr() as u64);
    let result = call();
    // SAFETY: as above; the kernel is done.
    let load = unsafe { &mut *attributes };
    (load.log_level, load.log_size, load.log) = (0, 0, 0);
    if result >= 0
        && let Some(count) = CStr::from_bytes_until_nul(&log)
            .ok()
            .and_then(|log| processed(&log.to_string_lossy()))
    {
        let name: Vec<u8> = load.name.iter().map(|char| *char as u8).collect();
        let name = String::from_utf8_lossy(&name)
            .trim_end_matches('\0')
            .to_owned();
        SAID.lock().unwrap().insert(name, count);
    }
    result
}

/// `processed 37366 insns (limit 1000000) max_states_per_insn …`, a line among others.
fn processed(log: &str) -> Option<u32> {
    let mut lines = log.lines();
    let count = lines.find_map(|line| line.strip_prefix("processed "))?;
    count.split(' ').next()?.parse().ok()
}

#[test]
fn statistics_are_read_as_the_verifier_writes_them() {
    // The third line is there from Linux 7 on.
    let log = "verification time 1 usec\nstack depth 64+0 max 64\ninsns processed 37350+16\n\
               processed 37366 insns (limit 1000000) max_states_per_insn 4 total_states 9\n";
    assert_eq!(processed(log), Some(37_366));
    assert_eq!(processed(""), None);
}
