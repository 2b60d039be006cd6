//! Fuzzes `tests::parsers::journal::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::journal::journal(data));
