//! Why bytes are refused, and why a message cannot be written.

use core::fmt;

use super::framing::UnknownAction;
use super::parameter::{Cause, OperationError, ParameterType};

/// Why a message or parameter is refused, with the bytes that are to blame.
///
/// What the sender is to be told, if anything, comes out of [`cause`](Self::cause) and
/// [`operation_error`](Self::operation_error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ParseError<'a> {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The parameter that is to blame, or the whole message if no single parameter is.
    pub bytes: &'a [u8],
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The message's length field does not fit its bytes.
    MessageLength,
    /// A message of another type than the one asked for.
    MessageType,
    /// A parameter that runs over its container, or whose length does not fit its type.
    ParameterLength,
    /// A value that the RFCs (or our limits) forbid.
    Value,
    /// A mandatory parameter is missing.
    Missing,
    /// A known parameter where it does not belong, or once too often.
    Misplaced,
    /// An unknown parameter whose top bits say that the message must be dropped.
    Unrecognized,
}

impl<'a> ParseError<'a> {
    pub(crate) const fn new(kind: ParseErrorKind, bytes: &'a [u8]) -> Self {
        Self { kind, bytes }
    }

    /// The cause to report to the sender; `None` means that the message is dropped silently.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self.kind {
            ParseErrorKind::MessageType => None,
            // RFC 5354 §3: the top two bits say whether to report.
            ParseErrorKind::Unrecognized => match self.bytes.first_chunk::<2>() {
                Some(&kind) => match UnknownAction::of(ParameterType::from_be_bytes(kind)) {
                    UnknownAction::StopAndReport => Some(Cause::UNRECOGNIZED_PARAMETER),
                    _ => None,
                },
                None => None,
            },
            ParseErrorKind::MessageLength
            | ParseErrorKind::ParameterLength
            | ParseErrorKind::Value
            | ParseErrorKind::Missing
            | ParseErrorKind::Misplaced => Some(Cause::INVALID_VALUES),
        }
    }

    /// The report to the sender, if there is to be one: the cause and the bytes to blame.
    #[must_use]
    pub fn operation_error(&self) -> Option<OperationError<'a>> {
        self.cause().map(|cause| OperationError::new(cause, self.bytes))
    }
}

impl fmt::Display for ParseError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ParseErrorKind::MessageLength => "the message's length does not fit its bytes",
            ParseErrorKind::MessageType => "a message of another type",
            ParseErrorKind::ParameterLength => "a parameter's length is wrong",
            ParseErrorKind::Value => "a parameter's value is not allowed",
            ParseErrorKind::Missing => "a mandatory parameter is missing",
            ParseErrorKind::Misplaced => "a parameter does not belong where it is",
            ParseErrorKind::Unrecognized => "an unknown parameter demands to drop the message",
        })
    }
}

impl core::error::Error for ParseError<'_> {}

impl<'a> nom::error::ParseError<&'a [u8]> for ParseError<'a> {
    // The only primitives in use take bytes; all they can find wrong is that there are too few.
    fn from_error_kind(input: &'a [u8], _: nom::error::ErrorKind) -> Self {
        Self::new(ParseErrorKind::ParameterLength, input)
    }

    fn append(_: &'a [u8], _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

impl<'a> From<nom::Err<Self>> for ParseError<'a> {
    fn from(error: nom::Err<Self>) -> Self {
        match error {
            nom::Err::Error(error) | nom::Err::Failure(error) => error,
            nom::Err::Incomplete(_) => Self::new(ParseErrorKind::ParameterLength, &[]),
        }
    }
}

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EmitError {
    /// The buffer is too small.
    Full,
    /// Longer than a length field (16 bits) can say.
    TooLong,
    /// A transport needs at least one address, and all but SCTP take just one.
    AddressCount,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the buffer is too small for the message",
            Self::TooLong => "longer than 65535 bytes",
            Self::AddressCount => "the wrong number of addresses for this transport",
        })
    }
}

impl core::error::Error for EmitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_sender_must_learn_is_reported() {
        let report = |kind, bytes| ParseError::new(kind, bytes).cause();
        assert_eq!(report(ParseErrorKind::Unrecognized, &[0x00, 0x99, 0, 4][..]), None);
        let reported = Some(Cause::UNRECOGNIZED_PARAMETER);
        assert_eq!(report(ParseErrorKind::Unrecognized, &[0x40, 0x99, 0, 4][..]), reported);
        assert_eq!(report(ParseErrorKind::MessageType, &[]), None);
        assert_eq!(report(ParseErrorKind::Missing, &[]), Some(Cause::INVALID_VALUES));
    }
}
