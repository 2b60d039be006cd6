//! Fuzzes `tests::parsers::volumes::ext4`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::volumes::ext4(data));
