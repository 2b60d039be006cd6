//! Fuzzes `tests::parsers::disks::stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::disks::stream(data));
