//! What the eBPF programs and user space must agree on, and the verdict itself.
//!
//! - [`wire`]: what crosses the boundary between the kernel and user space.
//! - [`packet`]: reading a frame.
//! - [`datapath`]: the decision, generic over the frame and the tables.
//! - [`lookup`]: from an address to the class of its peer.
//! - `log`: lines that the programs write, in builds where they do (bpf only).
//! - `kernel`: the tables as BPF maps, frames as XDP and TC contexts (bpf only).
//! - [`model`]: the tables as collections, frames as slices (everywhere else).
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod datapath;
#[cfg(target_arch = "bpf")]
pub mod kernel;
#[cfg(target_arch = "bpf")]
pub mod log;
pub mod lookup;
#[cfg(not(target_arch = "bpf"))]
pub mod model;
pub mod packet;
pub mod wire;
