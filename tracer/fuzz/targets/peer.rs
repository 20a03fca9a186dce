//! Fuzzes [`fuzz::peer`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::peer::target(data));
