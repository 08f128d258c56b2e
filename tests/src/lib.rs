//! What the tests of this package share: the simulated network and its clock.

pub mod fuzz_targets;
