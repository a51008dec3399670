//! What the programs may take: `bench/budget.toml`.
//!
//! Instructions, bytes and stack are the same on every machine with the same kernel and
//! compiler, so a change that makes the datapath heavier shows here before anybody
//! measures it. Kernels verify differently: each has limits of its own, and one that the
//! file does not know is skipped.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use aya::programs::ProgramInfo;
use fw_common::wire::Direction;
use fw_ctl::datapath::objects;
use fw_ctl::datapath::programs::{Programs, XDP, headerless_name, tc_name};
use nix::mount::{MsFlags, mount};
use serde::Deserialize;

use super::support::in_sandbox;
use super::{guest, verifier};

/// What the file says of programs, by their names; the ratios are the benchmark's.
#[derive(Deserialize)]
struct Budget {
    stack: BTreeMap<String, u32>,
    /// By the beginning of the kernel's release.
    kernel: BTreeMap<String, BTreeMap<String, Limit>>,
}

/// What a program may take in a kernel.
#[derive(Clone, Copy, Deserialize)]
struct Limit {
    verified: u32,
    size: u32,
}

/// What it takes.
#[derive(Clone, Copy, Debug)]
struct Taken {
    verified: u32,
    size: u32,
    stack: u32,
}

#[test]
fn programs_keep_within_their_budget() {
    in_sandbox(|| {
        let budget: Budget =
            toml_edit::de::from_str(include_str!("../../../bench/budget.toml")).unwrap();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut known = budget.kernel.iter();
        let Some((_, limits)) = known.find(|(series, _)| kernel.starts_with(*series)) else {
            // Not `println!`: the test runner would swallow it.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: there is no budget for Linux {}",
                kernel.trim()
            );
            return;
        };
        let taken = taken();
        let mut over = Vec::new();
        for (name, limit) in limits {
            let taken = taken
                .get(name.as_str())
                .expect("the budget names our programs");
            for (what, taken, limit) in [
                ("verified instructions", taken.verified, limit.verified),
                ("bytes of instructions", taken.size, limit.size),
                ("bytes of stack", taken.stack, budget.stack[name]),
            ] {
                if taken > limit {
                    over.push(format!("{name}: {taken} {what}, {limit} are allowed"));
                }
            }
        }
        assert_eq!(limits.len(), taken.len(), "every program has a budget");
        assert!(over.is_empty(), "{}\ntaken: {taken:#?}", over.join("\n"));
        println!("Linux {}: {taken:#?}", kernel.trim());
    });
}

#[test]
fn programs_keep_within_their_budget_in_guests() {
    guest::passes_in_guests("budget::programs_keep_within_their_budget", "", |guest| {
        guest
    });
}

fn taken() -> BTreeMap<&'static str, Taken> {
    let maps = Path::new("/sys/fs/bpf");
    mount(
        Some("bpf"),
        maps,
        Some("bpf"),
        MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    let mut programs = Programs::load(maps, &[("CONNTRACK", 128), ("FRAGMENTS", 1_024)]).unwrap();
    let taken = |name: &str, info: &ProgramInfo, object: &[u8]| Taken {
        verified: {
            let logged = verifier::verified()[name];
            // Linux 5.16 and later say it of a loaded program, too.
            let said = info.verified_instruction_count();
            assert!(said.is_none_or(|said| said == logged), "{name}: {logged}");
            logged
        },
        size: info
            .size_translated()
            .expect("we may see our own instructions"),
        stack: deepest_frame(object),
    };
    let mut all = BTreeMap::new();
    let xdp = programs.xdp_mut().unwrap().info().unwrap();
    all.insert(XDP, taken(XDP, &xdp, objects::xdp().unwrap()));
    for direction in [Direction::Ingress, Direction::Egress] {
        let tc = programs.tc_mut(direction).unwrap().info().unwrap();
        let name = tc_name(direction);
        all.insert(name, taken(name, &tc, objects::tc().unwrap()));
        let l3 = programs.headerless_mut(direction).unwrap().info().unwrap();
        let name = headerless_name(direction);
        all.insert(name, taken(name, &l3, objects::tc().unwrap()));
    }
    all
}

/// Bytes of stack of the function of an object that takes most: how far below the
/// frame pointer its instructions reach. The kernel knows, but does not tell.
fn deepest_frame(object: &[u8]) -> u32 {
    executable_sections(object)
        .flat_map(|section| frame_offsets(section).collect::<Vec<_>>())
        .max()
        .unwrap_or(0)
}

/// Sections of an ELF64 file with `SHF_EXECINSTR` (System V ABI).
fn executable_sections(object: &[u8]) -> impl Iterator<Item = &[u8]> {
    let number = |at: usize, bytes: usize| {
        object[at..at + bytes]
            .iter()
            .rev()
            .fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let (table, count) = (number(40, 8), number(60, 2));
    (0..count).filter_map(move |i| {
        let header = table + 64 * i;
        let executable = number(header + 8, 8) & 4 != 0;
        let (offset, size) = (number(header + 24, 8), number(header + 32, 8));
        executable.then(|| &object[offset..offset + size])
    })
}

/// Distances below the frame pointer (r10) of what instructions load, store or take
/// the address of (RFC 9669).
fn frame_offsets(section: &[u8]) -> impl Iterator<Item = u32> {
    const FRAME: u8 = 10;
    const MOVE: u8 = 0xbf;
    const ADD_CONSTANT: u8 = 0x07;
    let mut copies = [false; 16];
    section.as_chunks::<8>().0.iter().filter_map(move |code| {
        let (dst, src) = (code[1] & 15, code[1] >> 4);
        let offset = i16::from_le_bytes([code[2], code[3]]);
        let constant = i32::from_le_bytes([code[4], code[5], code[6], code[7]]);
        let is_copy = std::mem::take(&mut copies[usize::from(dst)]);
        let below = match (code[0], code[0] & 7) {
            (MOVE, _) => {
                copies[usize::from(dst)] = src == FRAME;
                0
            }
            (ADD_CONSTANT, _) if is_copy => constant,
            // Classes LDX, ST and STX.
            (_, 1) if src == FRAME => offset.into(),
            (_, 2 | 3) if dst == FRAME => offset.into(),
            _ => 0,
        };
        u32::try_from(-below).ok().filter(|depth| *depth > 0)
    })
}

#[test]
fn a_frame_is_as_deep_as_what_is_stored_in_it() {
    let code: Vec<u8> = [
        // *(u64 *)(r10 - 16) = r1; r2 = r10; r2 += -40; r0 = *(u32 *)(r3 - 400)
        [0x7b, 0x1a, 0xf0, 0xff, 0, 0, 0, 0],
        [0xbf, 0xa2, 0, 0, 0, 0, 0, 0],
        [0x07, 0x02, 0, 0, 0xd8, 0xff, 0xff, 0xff],
        [0x61, 0x30, 0x70, 0xfe, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!(frame_offsets(&code).collect::<Vec<_>>(), [16, 40]);
}
