#![no_main]
//! See `towline_fuzz::frames`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::frames::run(data));
