#![no_main]
//! The fuzz target for `towline_fuzz::codecs`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::codecs::run(data));
