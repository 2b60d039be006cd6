//! Fuzzes `tests::parsers::packages::tar`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::packages::tar(data));
