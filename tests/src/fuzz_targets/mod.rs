//! Bodies of the fuzz targets: each asserts invariants, not only that nothing panics.
//!
//! The targets in `fuzz/` call them with what libFuzzer makes up, `tests/corpus.rs` with inputs
//! that are kept in `fuzz/corpus/`.

pub mod asap_machines;
pub mod compute;
pub mod csp;
pub mod handlespace;
pub mod message;
mod peers;
pub mod registrar;
pub mod sctp_attack;
pub mod sctp_data;
pub mod sctp_packet;
pub mod sctp_pair;
pub mod services;

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 11] = [
    ("message", message::run),
    ("handlespace", handlespace::run),
    ("registrar", registrar::run),
    ("asap_machines", asap_machines::run),
    ("sctp_attack", sctp_attack::run),
    ("sctp_data", sctp_data::run),
    ("sctp_packet", sctp_packet::run),
    ("sctp_pair", sctp_pair::run),
    ("compute", compute::run),
    ("csp", csp::run),
    ("services", services::run),
];
