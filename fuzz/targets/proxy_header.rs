#![no_main]
//! The fuzz target for `towline_fuzz::proxy_header`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::proxy_header::run(data));
