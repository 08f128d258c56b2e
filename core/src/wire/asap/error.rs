//! ASAP Error (RFC 5352 §2.2.14).
//!
//! ```text
//! | 14 | 0 | length | operation error |
//! ```

use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{OperationError, ParameterType, operation_error};

/// An endpoint reports a message or parameter that it could not make sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error<'a> {
    /// What was wrong.
    pub error: OperationError<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> Error<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(error: OperationError<'a>) -> Self {
        Self { error, layout: Layout::OURS }
    }
}

message_methods!(Error);

impl<'a> Message<'a> for Error<'a> {
    const TYPE: u8 = 14;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 4;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let mut found = None;
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::OPERATION_ERROR if found.is_none() => {
                    let (error, plain) = operation_error(tlv)?;
                    tlvs.odd_if(!plain);
                    found = Some(error);
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        Ok(Self::new(tlvs.required(found)?))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        self.error.write(writer)
    }

    fn value_len(&self) -> usize {
        self.error.encoded_len()
    }

    fn flags(&self) -> u8 {
        0
    }

    fn layout(&self) -> Layout<'a> {
        self.layout
    }

    fn set_layout(&mut self, layout: Layout<'a>) {
        self.layout = layout;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::{check_asap, check_verbatim_asap};
    use crate::wire::{AsapMessage, Cause, ParseErrorKind};

    #[test]
    fn a_cause_may_have_data() {
        let parameter = [0x40, 0x99, 0, 8, 1, 2, 3, 4];
        let error = OperationError::new(Cause::UNRECOGNIZED_PARAMETER, &parameter);
        check_asap(
            "0e000014 000c0010 0001000c 40990008 01020304",
            AsapMessage::Error(Error::new(error)),
        );
    }

    #[test]
    fn padding_of_the_last_cause_may_be_counted_or_not() {
        let error = OperationError::new(Cause::UNSPECIFIED, b"x");
        check_asap("0e000010 000c0009 00000005 78000000", AsapMessage::Error(Error::new(error)));
        check_verbatim_asap("0e000010 000c000c 00000005 78000000");
        check_verbatim_asap("0e00000d 000c0009 00000005 78000000");
    }

    #[test]
    fn an_error_without_cause_is_refused() {
        let error = Error::parse(&[14, 0, 0, 8, 0, 12, 0, 4]).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::Missing);
    }
}
