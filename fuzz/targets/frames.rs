#![no_main]
//! The fuzz target for `towline_fuzz::frames`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::frames::run(data));
