#![no_main]
//! The fuzz target for `towline_fuzz::chunked`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::chunked::run(data));
