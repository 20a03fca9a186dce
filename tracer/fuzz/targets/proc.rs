//! Fuzzes [`fuzz::proc`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::proc::target(data));
