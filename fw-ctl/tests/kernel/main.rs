//! Tests of the datapath in the kernel that runs. They need root and BPF;
//! elsewhere each says that it was skipped, or fails if `FW_KERNEL_TESTS=require`.

mod agreement;
mod attach;
mod install;
mod support;
mod testrun;
