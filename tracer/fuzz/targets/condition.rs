//! Fuzzes [`fuzz::condition`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::condition::target(data));
