//! `fw-ctl` with real sockets, each test in a lab of its own.
//!
//! The binary is `$FW_CTL`, else the workspace's `target/release/fw-ctl`, else
//! `target/debug/fw-ctl`. Without root or a binary a test says `skipped: …`; with
//! `FW_KERNEL_TESTS=require` that is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod addresses;
mod audit;
mod bans;
mod brake;
mod builtins;
mod capture;
mod clients;
mod doctor;
#[cfg(feature = "ebpf-log")]
mod ebpf_log;
mod first_enforcement;
mod fixture;
mod foreign;
mod frames;
mod hubble;
mod interfaces;
mod leap;
mod lifecycle;
mod lists;
mod lost;
mod masquerade;
mod metrics;
mod observe;
mod peers;
mod pods;
mod prometheus;
mod rates;
mod reload;
mod removed;
mod replies;
mod rules;
mod shipped;
mod told;
mod top;
mod trace;
mod traffic;
mod trial;
mod upgrade;

/// Makes two tests of a function of the attach mode: native XDP, and TC only.
macro_rules! on_xdp_and_tc {
    ($($test:ident),+ $(,)?) => {
        mod xdp {
            $(#[test] fn $test() { super::$test("native"); })+
        }
        mod tc {
            $(#[test] fn $test() { super::$test("off"); })+
        }
    };
}
pub(crate) use on_xdp_and_tc;
