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
