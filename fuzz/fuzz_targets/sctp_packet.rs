//! See `rserpool_tests::fuzz_targets::sctp_packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_tests::fuzz_targets::sctp_packet::run(data));
