//! Fuzzes `tests::parsers::volumes::fat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::volumes::fat(data));
