//! Fuzzes [`fuzz::standbys`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::standbys::target(data));
