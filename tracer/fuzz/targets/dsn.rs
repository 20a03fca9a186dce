//! Fuzzes [`fuzz::dsn`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::dsn::target(data));
