//! Fuzzes `tests::parsers::texts::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::texts::image(data));
