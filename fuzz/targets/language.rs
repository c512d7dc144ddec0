#![no_main]
//! See `towline_fuzz::language`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::language::run(data));
