//! Fuzzes `tests::parsers::disks::xz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::disks::xz(data));
