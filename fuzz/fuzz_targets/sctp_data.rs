//! See `rserpool_tests::fuzz_targets::sctp_data`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_tests::fuzz_targets::sctp_data::run(data));
