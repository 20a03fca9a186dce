//! Fuzzes [`fuzz::leftover`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::leftover::target(data));
