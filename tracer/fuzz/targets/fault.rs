//! Fuzzes [`fuzz::fault`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::fault::target(data));
