//! Bytes as an ASAP and as an ENRP message, which share the numbers of their types, and as a
//! stream of messages.

mod asap;
mod enrp;
mod stream;

use rserpool_core::wire::{self, EmitError, OperationError, ParseError};

/// Reads `data` each way.
///
/// # Panics
///
/// If what is read is not written again to the same bytes.
pub fn run(data: &[u8]) {
    asap::run(data);
    enrp::run(data);
    stream::run(data);
}

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
    let message = wire::asap::Error::new(*error);
    let mut buf = vec![0; message.encoded_len()];
    match message.emit(&mut buf) {
        Ok(len) => {
            let again =
                wire::asap::Error::parse(&buf[..len]).expect("what is written can be parsed");
            assert_eq!(again.error, *error);
        }
        Err(error) => assert_eq!(error, EmitError::TooLong),
    }
}
