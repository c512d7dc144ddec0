#![no_main]
//! The fuzz target for `towline_fuzz::settings`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::settings::run(data));
