//! Fuzzes `tests::parsers::disks::table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::disks::table(data));
