//! Messages of types that we do not know (RFC 5354 §4).

use nom::number::complete::be_u8;

use super::error::{EmitError, ParseError, ParseErrorKind};
use super::framing::{Tlvs, Writer};
use super::parameter::{Cause, OperationError};

/// A message of an unknown type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnknownMessage<'a> {
    /// Its type.
    pub message_type: u8,
    /// The whole message and its padding.
    pub bytes: &'a [u8],
}

impl<'a> UnknownMessage<'a> {
    /// Reads a message of any type; only its length is checked.
    ///
    /// # Errors
    ///
    /// If the length field does not fit the bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let message_type = message_type(bytes)?;
        Tlvs::open(bytes, message_type)?;
        Ok(Self { message_type, bytes })
    }

    /// What to tell the sender; `None` if the type says that nobody wants to know.
    #[must_use]
    pub fn operation_error(&self) -> Option<OperationError<'a>> {
        // RFC 5354 §4: 00 discard, 01 discard and report, the others are reserved.
        (self.message_type >> 6 == 0b01)
            .then(|| OperationError::new(Cause::UNRECOGNIZED_MESSAGE, self.bytes))
    }

    /// Writes the message to the start of `buf` and says how many bytes it takes.
    ///
    /// # Errors
    ///
    /// If the buffer is too small.
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, EmitError> {
        Writer::new(buf).put_padded(self.bytes)?;
        Ok(self.encoded_len())
    }

    /// How many bytes [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The type of the message that `bytes` begin.
pub(crate) fn message_type(bytes: &[u8]) -> Result<u8, ParseError<'_>> {
    match be_u8::<_, ParseError<'_>>(bytes) {
        Ok((_, message_type)) => Ok(message_type),
        Err(_) => Err(ParseError::new(ParseErrorKind::MessageLength, bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::{check_asap, hex};
    use crate::wire::{AsapMessage, ErrorCause};

    #[test]
    fn unknown_messages_follow_their_top_bits() {
        for (text, is_reported) in [
            ("20000008 01020304", false),
            ("60000008 01020304", true),
            ("a0000008 01020304", false),
            ("e0000008 01020304", false),
        ] {
            let bytes = hex(text);
            let message = UnknownMessage::parse(&bytes).unwrap();
            check_asap(text, AsapMessage::Unknown(message));
            let report = message.operation_error();
            assert_eq!(report.is_some(), is_reported);
            let expected = ErrorCause { code: Cause::UNRECOGNIZED_MESSAGE, data: &bytes };
            assert!(report.is_none_or(|report| report.causes().eq([expected])));
        }
    }
}
