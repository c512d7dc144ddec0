#![no_main]
//! The fuzz target for `towline_fuzz::preprocessors`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::preprocessors::run(data));
