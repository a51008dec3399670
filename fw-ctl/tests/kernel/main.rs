//! Tests of the datapath in the kernel that runs. They need root and BPF;
//! elsewhere each says that it was skipped, or fails if `FW_KERNEL_TESTS=require`.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code outside of test functions: helpers and strategies"
)]

mod agreement;
mod amend;
mod ask;
mod attach;
mod bans;
mod blocklist;
mod budget;
mod conntrack;
mod doctor;
#[allow(
    dead_code,
    clippy::print_stdout,
    reason = "other test programs use the rest; it says what was seen"
)]
#[path = "../common/guest.rs"]
mod guest;
mod headerless;
mod install;
mod network;
mod selftest;
mod sockets;
mod support;
mod testrun;
mod trial;
mod tun;
mod upgrade;
mod verifier;
mod vlans;
