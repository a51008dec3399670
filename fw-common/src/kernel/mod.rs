//! The decision's surroundings inside the kernel: BPF maps, XDP and TC contexts.

mod frame;
mod headerless;
mod maps;
mod tables;

pub use frame::{TcFrame, XdpFrame};
pub use headerless::HeaderlessFrame;
pub use tables::KernelTables;
