//! Fuzzes [`fuzz::passfile`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::passfile::target(data));
