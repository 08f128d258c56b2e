//! ENRP Error (RFC 5353 §2.10).
//!
//! ```text
//! | 10 | 0 | length | sender u32 | receiver u32 | operation error |
//! ```
//!
//! RSPLIB does not swap the identifiers: its errors name the receiver as sender.

use super::{IDS_LEN, ids, write_ids};
use crate::identifier::RegistrarId;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{OperationError, ParameterType, operation_error};

/// A registrar reports a message or parameter that it could not make sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error<'a> {
    /// Who sends it.
    pub sender: RegistrarId,
    /// Who is to get it; 0 for all.
    pub receiver: RegistrarId,
    /// What was wrong.
    pub error: OperationError<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> Error<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(
        sender: RegistrarId,
        receiver: RegistrarId,
        error: OperationError<'a>,
    ) -> Self {
        Self { sender, receiver, error, layout: Layout::OURS }
    }
}

message_methods!(Error);

impl<'a> Message<'a> for Error<'a> {
    const TYPE: u8 = 10;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 12;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (sender, receiver) = tlvs.fixed(ids)?;
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
        Ok(Self::new(sender, receiver, tlvs.required(found)?))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_ids(self.sender, self.receiver, writer)?;
        self.error.write(writer)
    }

    fn value_len(&self) -> usize {
        IDS_LEN.saturating_add(self.error.encoded_len())
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
    use crate::wire::test_support::check_enrp;
    use crate::wire::{Cause, EnrpMessage};

    #[test]
    fn bytes_are_those_of_rsplib() {
        let error = OperationError::new(Cause::RSPLIB_INVALID_MESSAGE, &[]);
        let message = Error::new(RegistrarId(0x4444_4444), RegistrarId(0x1111_1111), error);
        check_enrp("0a000014 44444444 11111111 000c0008 00100004", EnrpMessage::Error(message));
    }
}
