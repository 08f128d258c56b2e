//! What both machines do alike with input that they refuse.
//!
//! Read RFC 5352 §2.2.14 and RFC 5354 §3 before editing this file.

use core::fmt;

use heapless::Vec;

use crate::association::{AssociationId, Ppid, StreamId, Transmit};
use crate::wire::asap::{
    AsapMessage, DeregistrationResponse, EndpointKeepAlive, Error, RegistrationResponse,
};
use crate::wire::{Cause, OperationError, ParseError, UnknownMessage, Unrecognized};

/// Why an input was refused. The machine goes on as if it had not come; if the sender is to know,
/// an ASAP Error comes out of `poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InputError {
    /// Its payload protocol identifier is not ASAP's.
    NotAsap,
    /// It cannot be parsed.
    Malformed {
        /// What the sender is told; nothing if `None`.
        cause: Option<Cause>,
    },
    /// A message type that nobody has defined.
    UnknownMessage,
    /// A message that this machine does not expect, or not now, or not from there, or that is
    /// about another pool or element.
    Unexpected,
    /// There is no room for what it brings.
    Full,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsap => f.write_str("not an ASAP message"),
            Self::Malformed { cause: Some(cause) } => {
                write!(f, "malformed message, answered with cause {:#06x}", cause.0)
            }
            Self::Malformed { cause: None } => f.write_str("malformed message, dropped"),
            Self::UnknownMessage => f.write_str("message of an unknown type"),
            Self::Unexpected => f.write_str("message that was not expected"),
            Self::Full => f.write_str("no room for what the message brings"),
        }
    }
}

impl core::error::Error for InputError {}

/// An ASAP Error that is owed to the sender of something that we could not use.
///
/// There is one at most: while it is owed, further bad input is not answered. It holds a copy of
/// the parameter to blame, unless that is longer than [`ERROR_DATA_LEN_MAX`].
#[derive(Clone, Debug)]
pub(crate) struct OwedError {
    pub(crate) association: AssociationId,
    code: Cause,
    data: Vec<u8, ERROR_DATA_LEN_MAX>,
}

impl OwedError {
    fn new(association: AssociationId, code: Cause, data: &[u8]) -> Self {
        Self { association, code, data: Vec::from_slice(data).unwrap_or_default() }
    }

    pub(crate) fn emit(&self, buf: &mut [u8]) -> Option<Transmit> {
        let error = OperationError::new(self.code, &self.data);
        let len = Error::new(error).emit(buf).ok()?;
        Some(message_to(self.association, len))
    }
}

/// Parses a message on `association`. What its sender must be told about it (RFC 5354 §3) is
/// noted in `owed`.
pub(crate) fn parse<'a>(
    association: AssociationId,
    ppid: Ppid,
    data: &'a [u8],
    owed: &mut Option<OwedError>,
) -> Result<AsapMessage<'a>, InputError> {
    if ppid != Ppid::ASAP {
        return Err(InputError::NotAsap);
    }
    let parsed = AsapMessage::parse(data);
    let report = match &parsed {
        Ok(AsapMessage::Unknown(message)) => message.operation_error(),
        Ok(message) => OperationError::unrecognized(message.unrecognized()),
        Err(error) => error.operation_error(),
    };
    note(association, data, report, owed);
    match parsed {
        Ok(AsapMessage::Unknown(_)) => Err(InputError::UnknownMessage),
        Ok(message) => Ok(message),
        Err(error) => Err(InputError::Malformed { cause: ParseError::cause(&error) }),
    }
}

/// What a pool element can be told.
pub(crate) enum ToElement<'a> {
    RegistrationResponse(RegistrationResponse<'a>),
    DeregistrationResponse(DeregistrationResponse<'a>),
    EndpointKeepAlive(EndpointKeepAlive<'a>),
    Error(Error<'a>),
}

/// As [`parse`], for a pool element. Of messages that no element expects nothing is read but the
/// type, so that a board need not hold the code for it.
pub(crate) fn parse_for_element<'a>(
    association: AssociationId,
    ppid: Ppid,
    data: &'a [u8],
    owed: &mut Option<OwedError>,
) -> Result<ToElement<'a>, InputError> {
    if ppid != Ppid::ASAP {
        return Err(InputError::NotAsap);
    }
    let parsed = read_for_element(data);
    let report = match &parsed {
        Ok(Some((_, unrecognized))) => OperationError::unrecognized(*unrecognized),
        Ok(None) => return Err(InputError::Unexpected),
        Err((_, report)) => *report,
    };
    note(association, data, report, owed);
    match parsed {
        Ok(Some((message, _))) => Ok(message),
        Ok(None) => Err(InputError::Unexpected),
        Err((error, _)) => Err(error),
    }
}

type Refused<'a> = (InputError, Option<OperationError<'a>>);

fn read_for_element(
    data: &[u8],
) -> Result<Option<(ToElement<'_>, Unrecognized<'_>)>, Refused<'_>> {
    let read = match data.first() {
        Some(3) => RegistrationResponse::parse(data)
            .map(|message| (ToElement::RegistrationResponse(message), message.unrecognized())),
        Some(4) => DeregistrationResponse::parse(data)
            .map(|message| (ToElement::DeregistrationResponse(message), message.unrecognized())),
        Some(7) => EndpointKeepAlive::parse(data)
            .map(|message| (ToElement::EndpointKeepAlive(message), message.unrecognized())),
        Some(14) => {
            Error::parse(data).map(|message| (ToElement::Error(message), message.unrecognized()))
        }
        Some(1..14) => return Ok(None),
        _ => match UnknownMessage::parse(data) {
            Ok(message) => return Err((InputError::UnknownMessage, message.operation_error())),
            Err(error) => Err(error),
        },
    };
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) => {
            Err((InputError::Malformed { cause: error.cause() }, error.operation_error()))
        }
    }
}

/// Notes what the sender of `data` is to be told, if anything and if there is room.
fn note(
    association: AssociationId,
    data: &[u8],
    report: Option<OperationError<'_>>,
    owed: &mut Option<OwedError>,
) {
    // An Error is never answered by an Error, or two peers could go on for ever.
    if owed.is_none() && data.first() != Some(&ERROR_MESSAGE_TYPE) {
        *owed = report
            .and_then(|error| error.causes().next())
            .map(|cause| OwedError::new(association, cause.code, cause.data));
    }
}

/// A message in the buffer, on stream 0 as all control messages.
pub(crate) fn message_to(association: AssociationId, len: usize) -> Transmit {
    Transmit::Message { association, stream: StreamId(0), ppid: Ppid::ASAP, len }
}

/// The longest copy of a bad parameter that is sent back.
pub(crate) const ERROR_DATA_LEN_MAX: usize = 128;

const ERROR_MESSAGE_TYPE: u8 = 0x0e;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asap::trace::bytes;

    /// What the sender of `message` is told.
    fn told(message: &str) -> Option<(Cause, std::vec::Vec<u8>)> {
        let mut owed = None;
        let _ = parse(AssociationId(1), Ppid::ASAP, &bytes(message), &mut owed);
        owed.map(|owed| (owed.code, owed.data.to_vec()))
    }

    #[test]
    fn unknown_messages_are_reported_only_if_their_type_asks_for_it() {
        // RFC 5354 §4: 01 asks for a report, 00 for silence, the others are reserved.
        let unrecognized = (Cause::UNRECOGNIZED_MESSAGE, bytes("41000004"));
        assert_eq!(told("41000004"), Some(unrecognized));
        assert_eq!(told("20000004"), None);
        assert_eq!(told("81000004"), None);
        assert_eq!(told("c1000004"), None);
    }

    #[test]
    fn an_error_is_never_answered_by_an_error() {
        // Neither one without a cause nor one with a parameter that asks for a report.
        assert_eq!(told("0e000008000c0004"), None);
        assert_eq!(told("0e000010000c000800090004c0990004"), None);
    }
}
