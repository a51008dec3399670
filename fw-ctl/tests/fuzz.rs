//! Whatever others hand over, nothing panics, takes long or grows: the targets of
//! `fuzz/` with mutations of its corpora, the same ones in every run.
//!
//! `FW_FUZZ_SECONDS` gives each target so many seconds instead of a fixed number of
//! mutations, and `FW_FUZZ_SEED` other ones. What fails is left in a file, for
//! `FW_FUZZ_INPUT` to show it again to the target that the name begins with.
#![allow(clippy::print_stdout, reason = "a table is printed")]

#[path = "common/dice.rs"]
mod dice;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dice::Dice;
use fw_ctl::fuzz::{TARGETS, target};
use nix::time::{ClockId, clock_gettime};

/// Inputs of each target, by what they cost; of the others [`USUAL`].
const COUNTS: [(&str, u32); 5] = [
    ("state", 200),
    ("configuration", 10_000),
    ("flows", 10_000),
    ("requests", 10_000),
    ("replies", 10_000),
];
const USUAL: u32 = 1_000;
/// Seconds of CPU that one input may take, in all threads together.
const LONG: Duration = Duration::from_secs(2);
/// Seconds after which nobody waits any more for an input, however busy the machine is.
const TOO_LONG: u64 = 120;
/// Memory that is held while one input is read, beyond a part for each of its bytes.
const LARGE: usize = 96 << 20;
const LARGE_PER_BYTE: usize = 4_096;
/// Memory that a target may keep in all, for what is read once and for all.
const KEPT: usize = 4 << 20;
/// No mutation is longer.
const LONGEST: usize = 16 << 10;

/// The system's allocator, with a record of what is held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands every call on to the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the workspace is above the crate").join("fuzz")
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = root().join("corpus").join(name);
    let files = std::fs::read_dir(folder).expect("each target has a corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a file"))
        .collect()
}

/// Pieces that mean something in some of the formats.
const PIECES: [&str; 46] = [
    "\t",
    "\n",
    "  ",
    "- ",
    ": ",
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "|",
    ">",
    "&a ",
    "*a",
    "!x ",
    "<<: *a",
    "#",
    "---\n",
    "ü",
    "€",
    "\u{feff}",
    "\r\n",
    "0x",
    "_",
    "/",
    "%",
    ",",
    "? ",
    "-1",
    "null",
    "true",
    "1e309",
    "18446744073709551616",
    "65536",
    "255",
    "[[",
    "]]",
    "\\u0000",
    "\u{0}",
    "\u{7f}",
    "::",
    "0.0.0.0/0",
    "::/0",
    "-",
    "..",
];

/// An input made of the corpus.
fn mutated(dice: &mut Dice, corpus: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let most = dice.one_of(&[1, 4, 16, 64]);
        let end = (at + dice.below(1 + most)).min(bytes.len());
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.byte(),
            2 => drop(bytes.drain(at..end)),
            3 | 4 => drop(bytes.splice(at..end, dice.one_of(&PIECES).bytes())),
            5 => drop(bytes.splice(at..end, words[dice.below(words.len())].iter().copied())),
            6 => {
                // Sometimes so often that what nests nests deeply.
                let times = if dice.once_in(16) { 600 } else { 4 };
                let copy = bytes[at..end].repeat(1 + dice.below(times));
                bytes.splice(at..at, copy);
            }
            7 => {
                let other = &corpus[dice.below(corpus.len())];
                let from = dice.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// What a corpus consists of.
fn words(corpus: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let all = corpus
        .iter()
        .flat_map(|text| text.split(|byte| !is_letter(byte)));
    let words: BTreeSet<_> = all
        .filter(|word| word.len() > 1)
        .map(<[u8]>::to_vec)
        .collect();
    words.into_iter().collect()
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every process has one");
    Duration::from(time)
}

/// The input at hand, and when it began, in seconds since the start.
static AT_HAND: Mutex<(&str, Vec<u8>)> = Mutex::new(("", Vec::new()));
static BEGAN: AtomicU64 = AtomicU64::new(u64::MAX);

/// Ends the process when an input hangs: nothing else would.
fn watch(start: Instant) {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let began = BEGAN.load(Ordering::Relaxed);
        if start.elapsed().as_secs().saturating_sub(began) > TOO_LONG {
            let at_hand = AT_HAND.lock().unwrap_or_else(PoisonError::into_inner);
            let path = keep(at_hand.0, &at_hand.1);
            eprintln!("{}: hangs on {}", at_hand.0, path.display());
            std::process::abort();
        }
    }
}

fn keep(name: &str, bytes: &[u8]) -> PathBuf {
    let sum = bytes.iter().fold(5_381_u64, |sum, byte| {
        sum.wrapping_mul(33) ^ u64::from(*byte)
    });
    let path = std::env::temp_dir().join(format!("{name}-{sum:016x}"));
    std::fs::write(&path, bytes).expect("a file in the directory for such");
    path
}

/// What one input takes.
struct Cost {
    time: Duration,
    memory: usize,
}

/// Shows an input to a target.
///
/// # Errors
/// What is wrong, in words.
fn show(name: &'static str, bytes: &[u8], start: Instant) -> Result<Cost, String> {
    *AT_HAND.lock().unwrap_or_else(PoisonError::into_inner) = (name, bytes.to_vec());
    BEGAN.store(start.elapsed().as_secs(), Ordering::Relaxed);
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let begun = cpu_time();
    let result = catch_unwind(AssertUnwindSafe(|| target(name, bytes)));
    BEGAN.store(u64::MAX, Ordering::Relaxed);
    let cost = Cost {
        time: cpu_time().saturating_sub(begun),
        memory: MOST.load(Ordering::Relaxed).saturating_sub(before),
    };
    if let Err(panic) = result {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.downcast_ref::<&str>().copied());
        return Err(format!("panics: {}", said.unwrap_or_default()));
    }
    if cost.time > LONG {
        return Err(format!("takes {:.1} s", cost.time.as_secs_f32()));
    }
    if cost.memory > LARGE + LARGE_PER_BYTE * bytes.len() {
        return Err(format!("takes {} MiB", cost.memory >> 20));
    }
    Ok(cost)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

#[test]
fn no_input_panics_hangs_or_grows() {
    let start = Instant::now();
    std::thread::spawn(move || watch(start));
    let mut failures = Vec::new();
    if let Some(path) = std::env::var_os("FW_FUZZ_INPUT").map(PathBuf::from) {
        let file = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let found = TARGETS.iter().find(|target| file.starts_with(target.0));
        let (name, _) = found.expect("the name begins with that of a target");
        let bytes = std::fs::read(&path).expect("the file can be read");
        show(name, &bytes, start).unwrap_or_else(|why| panic!("{name} {why}"));
        return;
    }
    let seconds = number("FW_FUZZ_SECONDS").map(Duration::from_secs);
    let seed = number("FW_FUZZ_SEED").unwrap_or(1);
    println!("target            inputs  longest ms  most memory KiB  kept KiB");
    for (name, _) in TARGETS {
        let corpus = corpus(name);
        let words = words(&corpus);
        let mut dice = Dice::new(seed);
        let (mut longest, mut most) = (Duration::ZERO, 0);
        let count = COUNTS.iter().find(|of| of.0 == name);
        let count = count.map_or(USUAL, |of| of.1);
        let begun = Instant::now();
        let mut held = 0;
        let mut inputs = 0;
        loop {
            let bytes = match corpus.get(inputs as usize) {
                Some(bytes) => bytes.clone(),
                None => mutated(&mut dice, &corpus, &words),
            };
            match show(name, &bytes, start) {
                Ok(cost) => {
                    longest = longest.max(cost.time);
                    most = most.max(cost.memory);
                }
                Err(why) => {
                    let path = keep(name, &bytes);
                    failures.push(format!("{name} {why}: FW_FUZZ_INPUT={}", path.display()));
                }
            }
            inputs += 1;
            // What is made once is made by now.
            if inputs as usize == corpus.len() {
                held = HELD.load(Ordering::Relaxed);
            }
            let done = match seconds {
                Some(seconds) => begun.elapsed() > seconds,
                None => inputs >= count,
            };
            if done && inputs as usize > corpus.len() || failures.len() > 20 {
                break;
            }
        }
        let kept = HELD.load(Ordering::Relaxed).saturating_sub(held);
        println!(
            "{name:<16}{inputs:>8}{:>12}{:>17}{:>10}",
            longest.as_millis(),
            most >> 10,
            kept >> 10
        );
        if kept > KEPT {
            failures.push(format!("{name} keeps {} MiB", kept >> 20));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// libFuzzer has the same targets, each in one line, and the corpora are used.
#[test]
fn every_target_is_one_of_libfuzzer() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    for (name, _) in TARGETS {
        let path = root().join(format!("fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(path).expect("each target has a file");
        let line = format!("|bytes: &[u8]| fw_ctl::fuzz::target(\"{name}\", bytes)");
        assert!(text.contains(&line), "{name}: {text}");
        assert!(
            manifest.contains(&format!("\nname = \"{name}\"\n")),
            "{name}"
        );
    }
    for folder in ["corpus", "fuzz_targets"] {
        let count = std::fs::read_dir(root().join(folder))
            .expect("a folder")
            .count();
        assert_eq!(count, TARGETS.len(), "{folder}");
    }
}
