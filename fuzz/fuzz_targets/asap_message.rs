//! See `rserpool_tests::fuzz_targets::asap_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_tests::fuzz_targets::asap_message::run(data));
