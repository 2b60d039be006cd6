//! Fuzzes `tests::parsers::texts::cluster`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::texts::cluster(data));
