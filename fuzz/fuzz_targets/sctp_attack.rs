//! See `rserpool_tests::fuzz_targets::sctp_attack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_tests::fuzz_targets::sctp_attack::run(data));
