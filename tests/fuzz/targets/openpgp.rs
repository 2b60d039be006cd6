//! Fuzzes `tests::parsers::signatures::openpgp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::signatures::openpgp(data));
