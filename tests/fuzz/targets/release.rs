//! Fuzzes `tests::parsers::packages::release`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::packages::release(data));
