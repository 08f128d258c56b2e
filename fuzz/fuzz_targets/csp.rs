//! See `rserpool_tests::fuzz_targets::csp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_tests::fuzz_targets::csp::run(data));
