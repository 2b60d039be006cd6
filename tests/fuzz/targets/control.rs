//! Fuzzes `tests::parsers::packages::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::packages::control(data));
