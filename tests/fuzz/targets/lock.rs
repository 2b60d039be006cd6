//! Fuzzes `tests::parsers::texts::lock`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::texts::lock(data));
