//! What the eBPF programs and user space must agree on, and the verdict itself.
#![cfg_attr(target_arch = "bpf", no_std)]

pub mod wire;
