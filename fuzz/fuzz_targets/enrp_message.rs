//! See `rserpool_tests::fuzz_targets::enrp_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_tests::fuzz_targets::enrp_message::run(data));
