//! The machine contract under random inputs, and determinism.

use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_tests::fuzz_targets::registrar::{run, trace};

fn program(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SplitMix64::new(seed).fill(&mut bytes);
    bytes
}

#[test]
fn the_contract_holds_under_random_inputs() {
    for seed in 0..300 {
        println!("seed {seed}");
        run(&program(seed, 4_000));
    }
}

#[test]
fn other_inputs_yield_other_outputs() {
    let digests: std::collections::BTreeSet<u64> =
        (0..20).map(|seed| trace(&program(seed, 1_000))).collect();
    assert_eq!(digests.len(), 20);
}
