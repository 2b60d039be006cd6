//! Fuzzes `tests::parsers::appliance::appliance`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::appliance::appliance(data));
