#![no_main]
//! The fuzz target for `towline_fuzz::language`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| towline_fuzz::language::run(data));
