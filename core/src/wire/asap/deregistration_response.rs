//! ASAP Deregistration Response (RFC 5352 §2.2.4).
//!
//! ```text
//! | 4 | 0 | length | pool handle | PE identifier | [operation error] |
//! ```

use super::{read_response, response_len, write_response};
use crate::identifier::{PeId, PoolHandle};
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::OperationError;

/// A registrar answers a deregistration. It is refused exactly if there is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeregistrationResponse<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub pe_id: PeId,
    /// Why it is refused.
    pub error: Option<OperationError<'a>>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> DeregistrationResponse<'a> {
    /// The answer to a deregistration that went well.
    #[must_use]
    pub const fn new(pool_handle: PoolHandle<'a>, pe_id: PeId) -> Self {
        Self { pool_handle, pe_id, error: None, layout: Layout::OURS }
    }
}

message_methods!(DeregistrationResponse);

impl<'a> Message<'a> for DeregistrationResponse<'a> {
    const TYPE: u8 = 4;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 4;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, pe_id, error) = read_response(tlvs)?;
        Ok(Self { pool_handle, pe_id, error, layout: Layout::OURS })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_response(self.pool_handle, self.pe_id, self.error.as_ref(), writer)
    }

    fn value_len(&self) -> usize {
        response_len(self.pool_handle, self.error.as_ref())
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
    use crate::wire::{AsapMessage, Cause};

    #[test]
    fn bytes_are_those_of_rsplib() {
        let handle = PoolHandle::new(b"EchoPool").unwrap();
        check_asap(
            "04000018 0009000c 4563686f506f6f6c 000e0008 aaaa0001",
            AsapMessage::DeregistrationResponse(DeregistrationResponse::new(
                handle,
                PeId(0xaaaa_0001),
            )),
        );
    }

    #[test]
    fn an_error_needs_no_flag() {
        let mut message = DeregistrationResponse::new(PoolHandle::new(b"Pool").unwrap(), PeId(1));
        message.error = Some(OperationError::new(Cause::UNKNOWN_POOL_HANDLE, &[]));
        check_asap(
            "0400001c 00090008 506f6f6c 000e0008 00000001 000c0008 00090004",
            AsapMessage::DeregistrationResponse(message),
        );
    }

    #[test]
    fn a_flag_without_meaning_is_kept() {
        check_verbatim_asap("04010014 00090008 506f6f6c 000e0008 00000001");
    }
}
