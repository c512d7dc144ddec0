#![no_main]
//! The fuzz target for `towline_fuzz::credentials`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::credentials::run(data));
