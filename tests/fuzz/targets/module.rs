//! Fuzzes `tests::parsers::kernel::module`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::kernel::module(data));
