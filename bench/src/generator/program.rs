//! The generator's program: straight-line code for one traffic.
//!
//! Its state is one map value: number of packets sent, seed, then the time of every
//! [`SEGMENT`]-th packet. What is random is derived from the number and the seed by
//! a bijective mixer: no two packets of a run are alike by more than chance, and two
//! runs with one seed are the same.

use sandbox::Family;

use super::template::Template;
use super::traffic::{
    Flows, Ports, RANDOM_V4, RANDOM_V4_MASK, RANDOM_V6, SLOT, Sources, Stream, Traffic,
};
use crate::bpf::Action;
use crate::bpf::asm::{Assembler, Helper, If, Op, Reg, Width};

/// Packets between two time stamps.
pub const SEGMENT: u32 = 1 << SEGMENT_SHIFT;
const SEGMENT_SHIFT: i32 = 10;
/// Time stamps that fit; a power of two.
pub const STAMPS: usize = 1 << 13;
/// Bytes of the state.
pub const STATE: usize = 16 + 8 * STAMPS;

/// Where frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Out of the interface with this number.
    Interface(u32),
    /// Dropped where they are made.
    Nowhere,
    /// Handed back, for looking at them.
    Back,
}

/// The packet, from its first byte.
const DATA: Reg = Reg::R6;
/// Sum of what changed under IPv4's header checksum.
const HEADER_SUM: Reg = Reg::R7;
/// Sum of what changed under the checksum of TCP or UDP.
const SUM: Reg = Reg::R8;
/// 64 random bits: those of the flow.
const RANDOM: Reg = Reg::R9;

/// Constants of the mixer: 2^64 by the golden ratio, and one of Steele & Vigna's.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xd1b5_4a32_d192_ed03;

/// Writes the program. `state` and `memory` are maps: of [`STATE`] bytes, and of
/// [`Traffic::memory`] if that is not empty.
#[must_use]
pub fn assemble(
    traffic: &Traffic,
    destination: Destination,
    state: i32,
    memory: Option<i32>,
) -> Vec<u64> {
    let mut code = Assembler::default();
    let length = traffic.first_frame().len() as i32;
    code.load(Width::W32, DATA, Reg::R1, 0);
    code.load(Width::W32, Reg::R7, Reg::R1, 4);
    code.mov(Reg::R2, DATA);
    code.op_imm(Op::Add, Reg::R2, length);
    let too_short = code.jump_if(If::Greater, Reg::R2, Reg::R7);
    number_and_time(&mut code, state);
    mix(&mut code, GOLDEN);
    mix(&mut code, MULTIPLIER);
    match traffic {
        Traffic::Stream(stream) => write_stream(&mut code, stream, memory),
        Traffic::Replay(frames) => copy_frame(&mut code, frames.len(), memory),
    }
    match destination {
        Destination::Interface(index) => {
            code.mov_imm(Reg::R1, index as i32);
            code.mov_imm(Reg::R2, 0);
            code.call(Helper::Redirect);
        }
        Destination::Nowhere => code.mov_imm(Reg::R0, Action::Drop as i32),
        Destination::Back => code.mov_imm(Reg::R0, Action::Pass as i32),
    }
    code.exit();
    code.land(too_short);
    code.mov_imm(Reg::R0, Action::Aborted as i32);
    code.exit();
    code.finish()
}

/// Counts the packet, notes the time if it begins a segment, and leaves number plus
/// seed in [`RANDOM`].
fn number_and_time(code: &mut Assembler, state: i32) {
    let at = Reg::R8;
    code.map_value(at, state, 0);
    code.load(Width::W64, RANDOM, at, 0);
    code.mov(Reg::R2, RANDOM);
    code.op_imm(Op::Add, Reg::R2, 1);
    code.store(Width::W64, at, 0, Reg::R2);
    code.mov(Reg::R2, RANDOM);
    code.op_imm(Op::And, Reg::R2, SEGMENT as i32 - 1);
    let within = code.jump_if_imm(If::NotEqual, Reg::R2, 0);
    code.call(Helper::KtimeGetNs);
    code.mov(Reg::R2, RANDOM);
    code.op_imm(Op::Shr, Reg::R2, SEGMENT_SHIFT);
    code.op_imm(Op::And, Reg::R2, STAMPS as i32 - 1);
    code.op_imm(Op::Shl, Reg::R2, 3);
    code.op(Op::Add, Reg::R2, at);
    code.store(Width::W64, Reg::R2, 16, Reg::R0);
    code.land(within);
    code.load(Width::W64, Reg::R2, at, 8);
    code.op(Op::Add, RANDOM, Reg::R2);
}

/// One step of the mixer on [`RANDOM`].
fn mix(code: &mut Assembler, multiplier: u64) {
    code.mov_64(Reg::R2, multiplier);
    code.op(Op::Mul, RANDOM, Reg::R2);
    code.mov(Reg::R2, RANDOM);
    code.op_imm(Op::Shr, Reg::R2, 32);
    code.op(Op::Xor, RANDOM, Reg::R2);
}

/// `dst` = one of `count` numbers from 0, by the upper half of [`RANDOM`].
fn choose(code: &mut Assembler, dst: Reg, count: u32) {
    code.mov(dst, RANDOM);
    code.op_imm(Op::Shr, dst, 32);
    code.mov_64(Reg::R3, u64::from(count));
    code.op(Op::Mul, dst, Reg::R3);
    code.op_imm(Op::Shr, dst, 32);
}

fn copy_frame(code: &mut Assembler, count: usize, memory: Option<i32>) {
    let memory = memory.expect("a replay has frames");
    choose(code, Reg::R2, count as u32);
    code.op_imm(Op::Mul, Reg::R2, SLOT as i32);
    code.map_value(Reg::R1, memory, 0);
    code.op(Op::Add, Reg::R1, Reg::R2);
    for at in (0..SLOT as i16).step_by(8) {
        code.load(Width::W64, Reg::R2, Reg::R1, at);
        code.store(Width::W64, DATA, at, Reg::R2);
    }
}

fn write_stream(code: &mut Assembler, stream: &Stream, memory: Option<i32>) {
    let template = stream.template();
    if let Flows::Of(count) = stream.flows {
        choose(code, Reg::R2, count);
        code.mov(RANDOM, Reg::R2);
        code.op_imm(Op::Add, RANDOM, 1);
        mix(code, GOLDEN);
        mix(code, MULTIPLIER);
    }
    restore_link_header(code, &template);
    begin_sums(code, &template);
    write_source(code, stream, &template, memory);
    if let Some(ports) = template.ports {
        write_port(code, &template, ports, stream.source_port, 32);
        write_port(code, &template, ports + 2, stream.destination_port, 16);
    }
    match template.identification {
        Some((at, 2)) => {
            code.mov(Reg::R2, RANDOM);
            code.op_imm(Op::And, Reg::R2, 0xffff);
            code.store(Width::W16, DATA, at as i16, Reg::R2);
            code.op(Op::Add, HEADER_SUM, Reg::R2);
        }
        Some((at, _)) => code.store(Width::W32, DATA, at as i16, RANDOM),
        None => {}
    }
    if let Some(at) = template.header_checksum {
        finish_sum(code, HEADER_SUM, at);
    }
    if let Some(at) = template.checksum {
        finish_sum(code, SUM, at);
    }
}

/// A page comes back as the receiver left it; where that took a tag out, the
/// addresses have moved.
fn restore_link_header(code: &mut Assembler, template: &Template) {
    if template.frame[12..14] != [0x81, 0] {
        return;
    }
    for at in (0..16).step_by(4) {
        let word = i32::from_le_bytes(
            template.frame[at..at + 4]
                .try_into()
                .expect("four bytes are asked for"),
        );
        code.store_imm(Width::W32, DATA, at as i16, word);
    }
    let kind = u16::from_le_bytes([template.frame[16], template.frame[17]]);
    code.store_imm(Width::W16, DATA, 16, i32::from(kind));
}

/// The sums of the template, whose changing fields are zero. A sum of 16-bit words
/// is the same in either byte order if it is stored in the one that it was read in
/// (RFC 1071 §2), so nothing is swapped.
fn begin_sums(code: &mut Assembler, template: &Template) {
    for (sum, at) in [
        (HEADER_SUM, template.header_checksum),
        (SUM, template.checksum),
    ] {
        let start = at.map_or(0, |at| {
            !u16::from_le_bytes([template.frame[at], template.frame[at + 1]])
        });
        code.mov_imm(sum, i32::from(start));
    }
}

fn write_source(code: &mut Assembler, stream: &Stream, template: &Template, memory: Option<i32>) {
    let words = match stream.family() {
        Family::V4 => 1,
        Family::V6 => 4,
    };
    if let Sources::Listed(addresses) = &stream.sources {
        let memory = memory.expect("a list of sources has addresses");
        choose(code, Reg::R4, addresses.len() as u32);
        code.op_imm(Op::Shl, Reg::R4, if words == 1 { 2 } else { 4 });
        code.map_value(Reg::R1, memory, 0);
        code.op(Op::Add, Reg::R1, Reg::R4);
    }
    for word in 0..words {
        match (&stream.sources, stream.family()) {
            (Sources::Listed(_), _) => code.load(Width::W32, Reg::R2, Reg::R1, 4 * word),
            (Sources::Random, Family::V4) => {
                code.mov(Reg::R2, RANDOM);
                code.op_imm(Op::And, Reg::R2, RANDOM_V4_MASK as i32);
                code.op_imm(Op::Or, Reg::R2, RANDOM_V4.to_bits() as i32);
                code.big_endian(Reg::R2, 32);
            }
            (Sources::Random, Family::V6) => random_v6_word(code, word),
        }
        code.store(Width::W32, DATA, template.source as i16 + 4 * word, Reg::R2);
        if template.header_checksum.is_some() {
            code.op(Op::Add, HEADER_SUM, Reg::R2);
        }
        if template.checksum.is_some() {
            code.op(Op::Add, SUM, Reg::R2);
        }
    }
}

/// A word of the address in r2: the prefix and 24 random bits, then 32 random bits,
/// 32 zeros, and 32 random bits.
fn random_v6_word(code: &mut Assembler, word: i16) {
    code.mov(Reg::R2, RANDOM);
    match word {
        0 => {
            code.op_imm(Op::Shr, Reg::R2, 8);
            code.op_imm(Op::And, Reg::R2, 0x00ff_ffff);
            let prefix = (RANDOM_V6.to_bits() >> 96) as i32;
            code.op_imm(Op::Or, Reg::R2, prefix);
            code.big_endian(Reg::R2, 32);
        }
        1 => code.op_imm(Op::Shr, Reg::R2, 32),
        2 => code.mov_imm(Reg::R2, 0),
        _ => {
            code.op_imm(Op::Shl, Reg::R2, 32);
            code.op_imm(Op::Shr, Reg::R2, 32);
        }
    }
}

/// A port; those that vary by the 16 bits of [`RANDOM`] from bit `from`.
fn write_port(code: &mut Assembler, template: &Template, at: usize, ports: Ports, from: i32) {
    match ports {
        Ports::One(port) => code.mov_imm(Reg::R2, i32::from(port)),
        Ports::Among { first, count } => {
            code.mov(Reg::R2, RANDOM);
            code.op_imm(Op::Shr, Reg::R2, from);
            code.op_imm(Op::And, Reg::R2, 0xffff);
            code.op_imm(Op::Mul, Reg::R2, i32::from(count));
            code.op_imm(Op::Shr, Reg::R2, 16);
            code.op_imm(Op::Add, Reg::R2, i32::from(first));
        }
    }
    code.big_endian(Reg::R2, 16);
    code.store(Width::W16, DATA, at as i16, Reg::R2);
    if template.checksum.is_some() {
        code.op(Op::Add, SUM, Reg::R2);
    }
}

/// Folds a sum to 16 bits and stores its complement.
fn finish_sum(code: &mut Assembler, sum: Reg, at: usize) {
    // At most five 32-bit words and some 16-bit ones: three folds are enough.
    for _ in 0..3 {
        code.mov(Reg::R2, sum);
        code.op_imm(Op::Shr, Reg::R2, 16);
        code.op_imm(Op::And, sum, 0xffff);
        code.op(Op::Add, sum, Reg::R2);
    }
    code.op_imm(Op::Xor, sum, 0xffff);
    code.store(Width::W16, DATA, at as i16, sum);
}
