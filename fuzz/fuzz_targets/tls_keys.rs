#![no_main]

mod limit;

libfuzzer_sys::fuzz_target!(|data: &[u8]| meshsniff_fuzz::tls_keys::check(data));
