//! See `rserpool_tests::fuzz_targets::asap_machines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_tests::fuzz_targets::asap_machines::run(data));
