//! Fuzzes `tests::parsers::disks::qcow2`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::disks::qcow2(data));
