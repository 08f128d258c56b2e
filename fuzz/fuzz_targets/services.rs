//! See `rserpool_tests::fuzz_targets::services`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_tests::fuzz_targets::services::run(data));
