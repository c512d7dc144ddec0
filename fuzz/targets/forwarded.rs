#![no_main]
//! The fuzz target for `towline_fuzz::forwarded`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::forwarded::run(data));
