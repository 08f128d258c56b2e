//! Bodies of the fuzz targets: each asserts invariants, not only that nothing panics.
//!
//! The targets in `fuzz/` call them with what libFuzzer makes up, `tests/corpus.rs` with inputs
//! that are kept in `fuzz/corpus/`.

pub mod asap_machines;
pub mod asap_message;
pub mod compute;
pub mod enrp_message;
pub mod handlespace;
pub mod registrar;
pub mod sctp_data;
pub mod sctp_packet;
pub mod sctp_pair;

use rserpool_core::wire::{EmitError, OperationError, ParseError, asap};

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("asap_message", asap_message::run),
    ("enrp_message", enrp_message::run),
    ("handlespace", handlespace::run),
    ("registrar", registrar::run),
    ("asap_machines", asap_machines::run),
    ("sctp_data", sctp_data::run),
    ("sctp_packet", sctp_packet::run),
    ("sctp_pair", sctp_pair::run),
    ("compute", compute::run),
];

/// A refusal's report can be sent and read.
fn check_refusal(error: &ParseError<'_>) {
    let Some(report) = error.operation_error() else {
        assert_eq!(error.cause(), None);
        return;
    };
    assert_eq!(Some(report.cause()), error.cause());
    check_error(&report);
}

/// An operation error is read as it is written.
fn check_error(error: &OperationError<'_>) {
    let message = asap::Error::new(*error);
    let mut buf = vec![0; message.encoded_len()];
    match message.emit(&mut buf) {
        Ok(len) => {
            let again = asap::Error::parse(&buf[..len]).expect("what is written can be parsed");
            assert_eq!(again.error, *error);
        }
        Err(error) => assert_eq!(error, EmitError::TooLong),
    }
}
