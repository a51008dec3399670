#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fw_ctl::fuzz::target("frames", bytes));
