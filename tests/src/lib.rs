//! What the tests of this package share: models, fuzz bodies, the simulated network and its clock.

pub mod compute_pool;
pub mod fuzz_targets;
pub mod handlespace_model;
pub mod messages;
pub mod network;
pub mod registrar;
pub mod scope;
pub mod sctp_run;
pub mod sctp_stack;
pub mod swarm;
