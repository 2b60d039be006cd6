//! Fuzzes `tests::parsers::kernel::modules_dep`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::parsers::kernel::modules_dep(data));
