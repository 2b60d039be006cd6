//! Fuzzes `tests::parsers::packages::script`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::packages::script(data));
