#![no_main]
//! The fuzz target for `towline_fuzz::close`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::close::run(data));
