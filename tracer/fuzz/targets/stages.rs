//! Fuzzes [`fuzz::stages`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stages::target(data));
