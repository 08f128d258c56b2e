//! Whole scopes drawn from a seed: some that failed once, some that never did, and that all of it
//! happens again. `cargo xtask swarm` runs as many as one likes.

use rserpool_tests::swarm::{self, range};

/// Seeds whose scopes violated something once.
const SEEDS: [u64; 20] = [
    12, 22, 43, 83, 92, 202, 459, 941, 2_808, 3_617, 5_078, 11_432, 13_854, 1_000_865, 1_010_042,
    1_014_313, 2_001_023, 2_010_897, 2_023_159, 2_030_537,
];

#[test]
fn what_failed_once_does_not_fail_again() {
    for seed in SEEDS {
        if let Err(violation) = swarm::try_run(seed) {
            panic!("seed {seed}: {violation}\n    {}", swarm::replay_command(seed));
        }
    }
}

#[test]
fn some_scopes_in_which_much_happens() {
    let outcome = range::run(1, 60, 2, 1, |_| {}, |_| {});
    if let Some(violation) = outcome.violations.first() {
        panic!("{violation:?}\n    {}", swarm::replay_command(violation.seed));
    }
    for what in [
        "takeovers",
        "adoptions",
        "failovers",
        "audits failed",
        "partitions",
        "machines slow for a while",
        "pools watched",
    ] {
        assert!(outcome.counts.of(what) > 0, "no {what}: {:#?}", outcome.counts);
    }
}

#[test]
fn a_seed_does_the_same_again() {
    for seed in [3, 4, 5] {
        let first = swarm::run(seed, false);
        assert_eq!(swarm::run(seed, false), first);
        assert_ne!(swarm::run(seed + 100, false).digest, first.digest);
    }
}
