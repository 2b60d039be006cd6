//! Fuzzes `tests::parsers::disks::vmdk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::disks::vmdk(data));
