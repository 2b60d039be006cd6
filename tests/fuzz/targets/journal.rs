//! Fuzzes `tests::parsers::volumes::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::volumes::journal(data));
