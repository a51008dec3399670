//! The few eBPF programs of the benchmark, and the calls that load them.
//!
//! They are assembled here ([`asm`]) instead of compiled: the generator's program
//! is another one for each traffic (straight-line code without one decision about
//! what the packet looks like), and the baselines are two instructions long.

pub mod asm;
pub mod calls;

use asm::{Assembler, Reg};

/// Verdicts of XDP (`enum xdp_action` of linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Action {
    /// A mistake: counted and dropped.
    Aborted = 0,
    /// Dropped in the driver.
    Drop = 1,
    /// On to the network stack.
    Pass = 2,
}

/// The program that only returns a verdict: the floor of what XDP costs.
#[must_use]
pub fn bare(action: Action) -> Vec<u64> {
    let mut code = Assembler::default();
    code.mov_imm(Reg::R0, action as i32);
    code.exit();
    code.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_program_is_two_instructions() {
        // r0 = 2; exit, as the kernel's documentation encodes them.
        assert_eq!(
            bare(Action::Pass),
            [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095]
        );
    }
}
