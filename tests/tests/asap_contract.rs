//! The contract of `rserpool_core::machine`, for pool elements and pool users: whatever comes
//! in, in whatever order, what comes out is bounded, well-formed, repeatable and addressed to
//! associations that are up; after a timeout the next one is later; every request ends.

use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_tests::fuzz_targets::asap_machines;

#[test]
fn asap_machines_keep_the_contract_under_random_inputs() {
    for seed in 0..3_000_u64 {
        let mut random = SplitMix64::new(seed);
        let mut data = vec![0; 16 + usize::try_from(random.below(800)).expect("small")];
        random.fill(&mut data);
        // Shown if the test fails; `asap_machines::run` of these bytes is the way to repeat it.
        println!("seed {seed}");
        asap_machines::run(&data);
    }
}
