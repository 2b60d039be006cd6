//! Fuzzes `tests::parsers::texts::profile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::texts::profile(data));
