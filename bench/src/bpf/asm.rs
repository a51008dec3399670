//! An assembler for the eBPF instructions that the benchmark's programs use.
//!
//! Encoding: RFC 9669, each instruction one little-endian 64-bit word of opcode
//! (8 bits), destination and source register (4 bits each), offset (16), immediate (32).

/// Registers: R0 result, R1-R5 arguments (lost in calls), R6-R9 kept, R10 stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[repr(u8)]
pub enum Reg {
    R0 = 0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
}

/// Width of a load or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[repr(u8)]
pub enum Width {
    W32 = 0x00,
    W16 = 0x08,
    W8 = 0x10,
    W64 = 0x18,
}

/// Arithmetic, on 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[repr(u8)]
pub enum Op {
    Add = 0x00,
    Mul = 0x20,
    Or = 0x40,
    And = 0x50,
    Shl = 0x60,
    Shr = 0x70,
    Xor = 0xa0,
    Mov = 0xb0,
}

/// Conditions of a jump, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[repr(u8)]
pub enum If {
    Equal = 0x10,
    Greater = 0x20,
    NotEqual = 0x50,
}

/// Helpers (`bpf-helpers(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[repr(i32)]
pub enum Helper {
    KtimeGetNs = 5,
    Redirect = 23,
}

/// Classes of opcodes.
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const STX: u8 = 0x03;
const JMP: u8 = 0x05;
const ALU64: u8 = 0x07;
/// The second operand is a register.
const FROM_REGISTER: u8 = 0x08;
/// A load or store of memory.
const MEM: u8 = 0x60;
/// Byte swap to big endian, of 32-bit class.
const TO_BIG_ENDIAN: u8 = 0xdc;
/// A 64-bit constant: two words.
const LOAD_64: u8 = 0x18;
/// Its source "register" when the constant is the address of a map's value.
const MAP_VALUE: u8 = 2;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;

/// A jump whose target is not known yet.
#[derive(Debug)]
#[must_use = "a jump must land somewhere"]
pub struct Jump(usize);

/// Collects instructions.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<u64>,
}

impl Assembler {
    /// The words, for `BPF_PROG_LOAD`.
    #[must_use]
    pub fn finish(self) -> Vec<u64> {
        self.code
    }

    /// `dst OP= src`.
    pub fn op(&mut self, op: Op, dst: Reg, src: Reg) {
        self.push(ALU64 | FROM_REGISTER | op as u8, dst, src as u8, 0, 0);
    }

    /// `dst OP= immediate`, sign-extended.
    pub fn op_imm(&mut self, op: Op, dst: Reg, immediate: i32) {
        self.push(ALU64 | op as u8, dst, 0, 0, immediate);
    }

    /// `dst = src`.
    pub fn mov(&mut self, dst: Reg, src: Reg) {
        self.op(Op::Mov, dst, src);
    }

    /// `dst = immediate`, sign-extended.
    pub fn mov_imm(&mut self, dst: Reg, immediate: i32) {
        self.op_imm(Op::Mov, dst, immediate);
    }

    /// `dst = constant`.
    pub fn mov_64(&mut self, dst: Reg, constant: u64) {
        self.load_64(dst, 0, constant as i32, (constant >> 32) as i32);
    }

    /// `dst = address of the only value of an array map + offset`.
    pub fn map_value(&mut self, dst: Reg, map: i32, offset: i32) {
        self.load_64(dst, MAP_VALUE, map, offset);
    }

    /// The lower 16 or 32 bits in network byte order, the rest zero.
    pub fn big_endian(&mut self, dst: Reg, bits: i32) {
        self.push(TO_BIG_ENDIAN, dst, 0, 0, bits);
    }

    /// `dst = *(src + offset)`.
    pub fn load(&mut self, width: Width, dst: Reg, src: Reg, offset: i16) {
        self.push(LDX | MEM | width as u8, dst, src as u8, offset, 0);
    }

    /// `*(dst + offset) = src`.
    pub fn store(&mut self, width: Width, dst: Reg, offset: i16, src: Reg) {
        self.push(STX | MEM | width as u8, dst, src as u8, offset, 0);
    }

    /// `*(dst + offset) = immediate`.
    pub fn store_imm(&mut self, width: Width, dst: Reg, offset: i16, immediate: i32) {
        self.push(ST | MEM | width as u8, dst, 0, offset, immediate);
    }

    /// Jumps if `dst CONDITION src`.
    pub fn jump_if(&mut self, condition: If, dst: Reg, src: Reg) -> Jump {
        self.push(JMP | FROM_REGISTER | condition as u8, dst, src as u8, 0, 0);
        Jump(self.code.len() - 1)
    }

    /// Jumps if `dst CONDITION immediate`.
    pub fn jump_if_imm(&mut self, condition: If, dst: Reg, immediate: i32) -> Jump {
        self.push(JMP | condition as u8, dst, 0, 0, immediate);
        Jump(self.code.len() - 1)
    }

    /// The jump ends here.
    pub fn land(&mut self, jump: Jump) {
        let distance = (self.code.len() - jump.0 - 1) as u16;
        self.code[jump.0] |= u64::from(distance) << 16;
    }

    /// `r0 = HELPER(r1, …)`; r1-r5 are lost.
    pub fn call(&mut self, helper: Helper) {
        self.push(JMP | CALL, Reg::R0, 0, 0, helper as i32);
    }

    /// Returns r0.
    pub fn exit(&mut self) {
        self.push(JMP | EXIT, Reg::R0, 0, 0, 0);
    }

    fn load_64(&mut self, dst: Reg, source: u8, low: i32, high: i32) {
        self.push(LOAD_64, dst, source, 0, low);
        self.push(0, Reg::R0, 0, 0, high);
    }

    fn push(&mut self, opcode: u8, dst: Reg, src: u8, offset: i16, immediate: i32) {
        self.code.push(
            u64::from(opcode)
                | u64::from(dst as u8 | src << 4) << 8
                | u64::from(offset as u16) << 16
                | u64::from(immediate as u32) << 32,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `llvm-mc -triple bpfel --show-encoding`.
    #[test]
    fn instructions_are_those_of_llvm() {
        let mut code = Assembler::default();
        code.mov(Reg::R6, Reg::R1); // bf 16 00 00 00 00 00 00
        code.op_imm(Op::And, Reg::R2, -2); // 57 02 00 00 fe ff ff ff
        code.load(Width::W32, Reg::R7, Reg::R1, 4); // 61 17 04 00 00 00 00 00
        code.store(Width::W16, Reg::R6, 36, Reg::R3); // 6b 36 24 00 00 00 00 00
        code.big_endian(Reg::R3, 16); // dc 03 00 00 10 00 00 00
        code.call(Helper::Redirect); // 85 00 00 00 17 00 00 00
        let bytes: Vec<[u8; 8]> = code.finish().into_iter().map(u64::to_le_bytes).collect();
        assert_eq!(
            bytes,
            [
                [0xbf, 0x16, 0, 0, 0, 0, 0, 0],
                [0x57, 0x02, 0, 0, 0xfe, 0xff, 0xff, 0xff],
                [0x61, 0x17, 4, 0, 0, 0, 0, 0],
                [0x6b, 0x36, 0x24, 0, 0, 0, 0, 0],
                [0xdc, 0x03, 0, 0, 0x10, 0, 0, 0],
                [0x85, 0, 0, 0, 0x17, 0, 0, 0],
            ]
        );
    }

    #[test]
    fn a_constant_of_64_bits_takes_two_words() {
        let mut code = Assembler::default();
        code.mov_64(Reg::R2, 0x1122_3344_5566_7788);
        assert_eq!(
            code.finish(),
            [0x5566_7788_0000_0218, 0x1122_3344_0000_0000]
        );
    }

    #[test]
    fn a_jump_counts_the_instructions_between() {
        let mut code = Assembler::default();
        let over = code.jump_if_imm(If::NotEqual, Reg::R2, 0);
        code.mov_imm(Reg::R0, 1);
        code.mov_imm(Reg::R0, 2);
        code.land(over);
        code.exit();
        assert_eq!(code.finish()[0] >> 16 & 0xffff, 2);
    }
}
