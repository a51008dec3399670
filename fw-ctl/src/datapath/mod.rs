//! The kernel side of a node: the eBPF objects and what is loaded of them.

pub mod objects;
