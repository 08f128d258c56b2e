//! Counts the messages of a capture, and checks that our wire code repeats them to the byte.

use std::collections::BTreeMap;
use std::path::Path;

use rserpool_core::wire::{AsapMessage, EmitError, EnrpMessage, ParseError};

use super::{Capture, CaptureError, Message, Protocol};

/// What comes of parsing a message and writing it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundTrip {
    /// Neither ASAP nor ENRP.
    NotOurs,
    /// The same bytes.
    Same,
    /// The bytes are no well-formed message, for this reason.
    Refused(String),
    /// Other bytes, from this position on, or none.
    Different(usize),
}

/// How many messages of each name a capture holds; retransmissions are not counted.
///
/// # Errors
///
/// If the capture cannot be read.
pub fn counts(path: impl AsRef<Path>) -> Result<BTreeMap<String, u64>, CaptureError> {
    let mut counts = BTreeMap::new();
    for message in Capture::open(path)? {
        let message = message?;
        if !message.retransmission {
            *counts.entry(message.name()).or_default() += 1;
        }
    }
    Ok(counts)
}

impl Message {
    /// Parses the message and writes it again.
    #[must_use]
    pub fn round_trip(&self) -> RoundTrip {
        let mut buf = vec![0xff; self.data.len().next_multiple_of(4)];
        let emitted = match self.protocol() {
            Protocol::Asap => {
                emitted(AsapMessage::parse(&self.data), |message| message.emit(&mut buf))
            }
            Protocol::Enrp => {
                emitted(EnrpMessage::parse(&self.data), |message| message.emit(&mut buf))
            }
            _ => return RoundTrip::NotOurs,
        };
        let len = match emitted {
            Ok(len) => len,
            Err(refused) => return refused,
        };
        let same = self.data.iter().zip(&buf[..len]).take_while(|(a, b)| a == b).count();
        if same == self.data.len() && same == len {
            RoundTrip::Same
        } else {
            RoundTrip::Different(same)
        }
    }
}

fn emitted<M>(
    parsed: Result<M, ParseError<'_>>,
    emit: impl FnOnce(&M) -> Result<usize, EmitError>,
) -> Result<usize, RoundTrip> {
    let message = parsed.map_err(|error| RoundTrip::Refused(error.to_string()))?;
    emit(&message).map_err(|_| RoundTrip::Different(0))
}
