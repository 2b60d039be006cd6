//! Fuzzes `tests::parsers::packages::packages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::packages::packages(data));
