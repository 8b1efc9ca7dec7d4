#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meshsniff_fuzz::stream::check(data));
