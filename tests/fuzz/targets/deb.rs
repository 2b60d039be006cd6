//! Fuzzes `tests::parsers::packages::deb`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::packages::deb(data));
